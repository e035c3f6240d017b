//! Room: to be built.
