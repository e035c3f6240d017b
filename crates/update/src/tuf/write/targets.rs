//! What a targets role will say: targets, delegations, bins.

use super::body::{Body, hashes, key_ids, object_in, rule};
use super::draft::Draft;
use super::key::Key;
use crate::BadRelease;
use crate::json::Json;
use crate::metadata::{Image, Object, Threshold};
use crate::tuf::fault::BadMetadata;
use crate::tuf::names::check_target_name;
use crate::tuf::roles::Targets;
use crate::tuf::target::WINDOW;
use model::UnixTime;
use std::collections::BTreeSet;
use std::fmt;

/// Most bits of a hash by which targets are left to bins that are listed one by one: 4096 delegations, and no more are
/// read.
pub const HASH_BIN_BITS_MAX: u32 = 12;
/// Most bits for succinct bins that are written here: a snapshot that names more than this many is longer than clients
/// take (2 000 000 octets).
pub const SUCCINCT_BITS_MAX: u32 = 14;

/// What a maker says besides, as JSON that has a canonical form.
#[derive(Clone, PartialEq, Eq)]
pub struct Custom(pub(super) Json);

impl Custom {
    /// Reads it.
    ///
    /// # Errors
    /// [`BadRelease`] if it is no JSON object without fractions, negative numbers, or a key twice.
    pub fn of_json(text: &[u8]) -> Result<Self, BadRelease> {
        let custom = Json::read(text)?;
        if custom.object().is_some() { Ok(Self(custom)) } else { Err(BadRelease::Field("custom")) }
    }
    /// Its JSON.
    #[must_use]
    pub fn json(&self) -> String {
        serde_json::to_string(&self.0).unwrap_or_default()
    }
}

impl fmt::Debug for Custom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.json())
    }
}

/// Which targets are left to a role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// Those whose names match one of these patterns; no wildcard stands for a `/`.
    Patterns(Vec<String>),
    /// Those whose names have a SHA-256 that begins with one of these hexadecimal digits.
    HashPrefixes(Vec<String>),
}

/// To whom a part of the targets is left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delegation {
    /// What the role is called.
    pub name: String,
    /// Who signs for it.
    pub keys: Vec<Key>,
    /// How many of them must.
    pub threshold: Threshold,
    /// Which targets.
    pub part: Part,
    /// Whether nobody after it is asked about them.
    pub terminating: bool,
}

/// Targets that are left to several roles, so many of which must say the same of each. Source: TAP 3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Together {
    /// What the delegation is called.
    pub name: String,
    /// Which targets.
    pub part: Part,
    /// Whether nobody after them is asked about these targets.
    pub terminating: bool,
    /// How many must say the same.
    pub in_agreement_min: u8,
    /// The roles, in the order in which they are asked. None has a key of another.
    pub roles: Vec<Agreeing>,
}

/// A role that is asked together with others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agreeing {
    /// What the role is called.
    pub name: String,
    /// Who signs for it.
    pub keys: Vec<Key>,
    /// How many of them must.
    pub threshold: Threshold,
}

/// Bins that share their keys and are listed by their number only. Source: TAP 15.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuccinctBins {
    /// What stands before the number in their names.
    pub prefix: String,
    /// How many bits of a name's hash choose the bin.
    pub bits: u32,
    /// Who signs for all of them.
    pub keys: Vec<Key>,
    /// How many of them must.
    pub threshold: Threshold,
}

/// One delegation for each bin of all targets, by the first bits of the SHA-256 of their names.
///
/// # Errors
/// [`BadMetadata::TooMany`] if `bits` is not from 1 to [`HASH_BIN_BITS_MAX`].
/// Source: TUF 1.0.34 §4.5, `path_hash_prefixes`.
pub fn hash_bins(prefix: &str, bits: u32, keys: &[Key], threshold: Threshold) -> Result<Vec<Delegation>, BadMetadata> {
    if !(1..=HASH_BIN_BITS_MAX).contains(&bits) {
        return Err(BadMetadata::TooMany);
    }
    let digits = bits.div_ceil(4);
    let width = usize::try_from(digits).unwrap_or(1);
    let each = 1_u32 << (digits * 4 - bits);
    let bin = |n: u32| Delegation {
        name: format!("{prefix}-{n:0width$x}"),
        keys: keys.to_vec(),
        threshold,
        part: Part::HashPrefixes((n * each..(n + 1) * each).map(|p| format!("{p:0width$x}")).collect()),
        terminating: true,
    };
    Ok((0..1_u32 << bits).map(bin).collect())
}

impl Body<Targets> {
    /// Announces a target, in place of one of that name.
    ///
    /// # Errors
    /// [`BadMetadata::BadTargetName`]
    pub fn set_target(&mut self, name: &str, image: Image, custom: Option<&Custom>) -> Result<(), BadMetadata> {
        check_target_name(name)?;
        let mut about = Json::of([("length", Json::Number(image.length)), ("hashes", hashes(image))]);
        if let (Some(members), Some(Custom(custom))) = (about.object_mut(), custom) {
            members.insert("custom".to_owned(), custom.clone());
        }
        self.object_in("targets").insert(name.to_owned(), about);
        Ok(())
    }

    /// Announces a target no longer. Says whether it was announced.
    pub fn remove_target(&mut self, name: &str) -> bool {
        self.object_in("targets").remove(name).is_some()
    }

    /// Takes out all targets, and gives them as they stood: for another role that will announce them.
    #[must_use]
    pub fn take_targets(&mut self) -> Vec<Taken> {
        std::mem::take(self.object_in("targets")).into_iter().map(|(name, about)| Taken { name, about }).collect()
    }
    /// Announces a target as another role did.
    pub fn put_target(&mut self, taken: Taken) {
        self.object_in("targets").insert(taken.name, taken.about);
    }

    /// Says something of the whole, in place of what was said; a director says here whom it speaks to.
    pub fn set_custom(&mut self, custom: Option<&Custom>) {
        match custom {
            Some(Custom(custom)) => self.fields.insert("custom".to_owned(), custom.clone()),
            None => self.fields.remove("custom"),
        };
    }

    /// Leaves targets to a role, after those before it, or in place of what was left to it.
    ///
    /// # Errors
    /// [`BadMetadata::BadDelegation`] where all is left to succinct bins.
    pub fn delegate(&mut self, delegation: &Delegation) -> Result<(), BadMetadata> {
        let delegations = self.object_in("delegations");
        if delegations.contains_key("succinct_roles") {
            return Err(BadMetadata::BadDelegation);
        }
        learn(delegations, &delegation.keys);
        let roles = delegations.entry("roles".to_owned()).or_insert_with(|| Json::List(Vec::new()));
        let Some(roles) = roles.list_mut() else { return Err(BadMetadata::BadDelegation) };
        let place = roles.iter().position(|role| is_named(role, &delegation.name));
        match place.and_then(|n| roles.get_mut(n)).and_then(Json::object_mut) {
            Some(role) => delegation.say(role),
            None => {
                let mut role = Object::new();
                delegation.say(&mut role);
                roles.push(Json::Object(role));
            }
        }
        self.forget_keys();
        Ok(())
    }

    /// Leaves targets to several roles that must agree, after those before them, or in place of what was left under this
    /// name.
    ///
    /// # Errors
    /// [`BadMetadata::BadDelegation`] where all is left to succinct bins. What else is wrong with it is found when the file
    /// is made ready to be signed.
    /// Source: TAP 3.
    pub fn delegate_together(&mut self, together: &Together) -> Result<(), BadMetadata> {
        let delegations = self.object_in("delegations");
        if delegations.contains_key("succinct_roles") {
            return Err(BadMetadata::BadDelegation);
        }
        for role in &together.roles {
            learn(delegations, &role.keys);
        }
        let roles = delegations.entry("roles".to_owned()).or_insert_with(|| Json::List(Vec::new()));
        let Some(roles) = roles.list_mut() else { return Err(BadMetadata::BadDelegation) };
        roles.retain(|role| !is_named(role, &together.name));
        let mut said = Object::new();
        together.say(&mut said);
        roles.push(Json::Object(said));
        self.forget_keys();
        Ok(())
    }

    /// Announces a target as another role does, for a time; what this role said of it is replaced.
    ///
    /// # Errors
    /// [`BadMetadata::NoTarget`] if the other role does not announce it.
    pub fn agree(
        &mut self,
        name: &str,
        other: &Draft<Targets>,
        not_before: Option<UnixTime>,
        not_after: Option<UnixTime>,
    ) -> Result<(), BadMetadata> {
        let targets = other.fields().get("targets").and_then(Json::object);
        let mut about = targets.and_then(|targets| targets.get(name)).cloned().ok_or(BadMetadata::NoTarget)?;
        let time = |time: UnixTime| Json::Text(time.whole_second().to_string());
        let mut window = Object::new();
        window.extend(not_before.map(|at| ("not_before".to_owned(), time(at))));
        window.extend(not_after.map(|at| ("not_after".to_owned(), time(at))));
        if let Some(about) = about.object_mut() {
            let custom = object_in(about, "custom");
            // What the other says of when holds by his own word.
            custom.remove(WINDOW);
            if !window.is_empty() {
                custom.insert(WINDOW.to_owned(), Json::Object(window));
            }
            if custom.is_empty() {
                about.remove("custom");
            }
        }
        self.object_in("targets").insert(name.to_owned(), about);
        Ok(())
    }

    /// Has others sign for a role to which targets are left; of succinct bins, for all of them. Says whether there is such
    /// a role.
    pub fn assign(&mut self, role: &str, keys: &[Key], threshold: Threshold) -> bool {
        let Some(delegations) = self.fields.get_mut("delegations").and_then(Json::object_mut) else { return false };
        let roles = delegations.get_mut("roles").and_then(Json::list_mut);
        let listed = roles.and_then(|roles| roles.iter_mut().find_map(|one| rule_of(one, role)));
        let about = match listed {
            Some(about) => Some(about),
            None => delegations.get_mut("succinct_roles").and_then(Json::object_mut).filter(|bins| {
                let prefix = bins.get("name_prefix").and_then(Json::text).unwrap_or_default();
                role.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('-'))
            }),
        };
        let Some(about) = about else { return false };
        about.extend(rule(keys, threshold).map(|(name, value)| (name.to_owned(), value)));
        learn(delegations, keys);
        self.forget_keys();
        true
    }

    /// Leaves nothing to a role any longer, nor to those that are asked together with it. Says whether something was.
    pub fn withdraw(&mut self, role: &str) -> bool {
        let Some(delegations) = self.fields.get_mut("delegations").and_then(Json::object_mut) else { return false };
        let Some(roles) = delegations.get_mut("roles").and_then(Json::list_mut) else { return false };
        let before = roles.len();
        roles.retain(|one| !is_named(one, role) && !has_role(one, role));
        let withdrawn = roles.len() < before;
        self.forget_keys();
        withdrawn
    }

    /// Leaves all targets to succinct bins, in place of those before.
    ///
    /// # Errors
    /// [`BadMetadata::BadDelegation`] where something is left to other roles: one file does one or the other;
    /// [`BadMetadata::TooMany`] beyond [`SUCCINCT_BITS_MAX`].
    /// Source: TAP 15.
    pub fn leave_to_bins(&mut self, bins: &SuccinctBins) -> Result<(), BadMetadata> {
        if !(1..=SUCCINCT_BITS_MAX).contains(&bins.bits) {
            return Err(BadMetadata::TooMany);
        }
        let delegations = self.object_in("delegations");
        let others = delegations.get("roles").and_then(Json::list).is_some_and(|roles| !roles.is_empty());
        if others {
            return Err(BadMetadata::BadDelegation);
        }
        delegations.remove("roles");
        learn(delegations, &bins.keys);
        let about = object_in(delegations, "succinct_roles");
        about.insert("bit_length".to_owned(), Json::Number(bins.bits.into()));
        about.insert("name_prefix".to_owned(), Json::from(bins.prefix.as_str()));
        about.extend(rule(&bins.keys, bins.threshold).map(|(name, value)| (name.to_owned(), value)));
        self.forget_keys();
        Ok(())
    }

    // Keys that no delegation names any more; and nothing is left of delegations to nobody.
    fn forget_keys(&mut self) {
        let delegations = self.object_in("delegations");
        let roles = delegations.get("roles").and_then(Json::list).unwrap_or_default();
        let bins = delegations.get("succinct_roles");
        let named: BTreeSet<String> = roles.iter().chain(bins).flat_map(key_ids).collect();
        let nobody = roles.is_empty() && bins.is_none();
        object_in(delegations, "keys").retain(|id, _| named.contains(id));
        if nobody {
            self.fields.remove("delegations");
        }
    }
}

/// A target that was taken out of a role, with all that was said of it.
#[derive(Clone, Debug)]
pub struct Taken {
    name: String,
    about: Json,
}

impl Taken {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Part {
    fn say(&self, role: &mut Object) {
        let texts = |texts: &[String]| Json::List(texts.iter().map(|text| Json::from(text.as_str())).collect());
        let (field, other, part) = match self {
            Self::Patterns(patterns) => ("paths", "path_hash_prefixes", texts(patterns)),
            Self::HashPrefixes(prefixes) => ("path_hash_prefixes", "paths", texts(prefixes)),
        };
        role.remove(other);
        role.insert(field.to_owned(), part);
    }
}

impl Delegation {
    fn say(&self, role: &mut Object) {
        self.part.say(role);
        role.insert("name".to_owned(), Json::from(self.name.as_str()));
        role.insert("terminating".to_owned(), Json::Bool(self.terminating));
        role.extend(rule(&self.keys, self.threshold).map(|(name, value)| (name.to_owned(), value)));
    }
}

impl Together {
    fn say(&self, about: &mut Object) {
        let one = |role: &Agreeing| {
            let mut said = Object::from([("rolename".to_owned(), Json::from(role.name.as_str()))]);
            said.extend(rule(&role.keys, role.threshold).map(|(name, value)| (name.to_owned(), value)));
            Json::Object(said)
        };
        self.part.say(about);
        about.insert("name".to_owned(), Json::from(self.name.as_str()));
        about.insert("terminating".to_owned(), Json::Bool(self.terminating));
        about.insert("min_roles_in_agreement".to_owned(), Json::Number(self.in_agreement_min.into()));
        about.insert("roles".to_owned(), Json::List(self.roles.iter().map(one).collect()));
    }
}

fn learn(delegations: &mut Object, keys: &[Key]) {
    let known = object_in(delegations, "keys");
    known.extend(keys.iter().map(|key| (key.id().to_owned(), key.json())));
}

// Where it is said who signs for a role, for itself or together with others.
fn rule_of<'a>(delegation: &'a mut Json, role: &str) -> Option<&'a mut Object> {
    if is_named(delegation, role) && delegation.object().is_some_and(|one| !one.contains_key("roles")) {
        return delegation.object_mut();
    }
    let roles = delegation.object_mut()?.get_mut("roles")?.list_mut()?;
    roles.iter_mut().filter_map(Json::object_mut).find(|one| one.get("rolename").and_then(Json::text) == Some(role))
}

/// Whether a role is asked together with others by this delegation.
pub(super) fn has_role(delegation: &Json, name: &str) -> bool {
    let roles = delegation.object().and_then(|one| one.get("roles")).and_then(Json::list).unwrap_or_default();
    let names = roles.iter().filter_map(|role| role.object()?.get("rolename")?.text());
    names.into_iter().any(|rolename| rolename == name)
}

pub(super) fn is_named(role: &Json, name: &str) -> bool {
    role.object().and_then(|role| role.get("name")).and_then(Json::text) == Some(name)
}
