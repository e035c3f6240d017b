//! The director: what a device is answered. `director::matrix` asks for each cell, and docs/access.md has the table.

use crate::table::Who;
use director::{DdiPath, ImagePath, Room, Route, UptanePath};

/// An enum, and all of it: a variant that is not asked for cannot be.
macro_rules! rows {
    ($(#[$about:meta])* pub enum $name:ident { $($variant:ident,)* }) => {
        $(#[$about])*
        pub enum $name { $($variant,)* }
        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];
        }
    };
}

rows! {
    /// What is asked for, in the order in which a device asks.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Row {
        ImageMetadata,
        ImageTarget,
        DdiRoot,
        DdiConfigData,
        DdiDeployment,
        DdiArtifact,
        DdiDeploymentFeedback,
        DdiInstalled,
        DdiCancel,
        DdiCancelFeedback,
        UptaneMetadata,
        UptaneNonce,
        UptaneManifest,
        UptaneReport,
    }
}

/// Each path that leads to something. One that is added must be given its row here.
pub const fn row(route: &Route<'_>) -> Option<Row> {
    match route {
        Route::Images(asked) => match asked {
            Some(ImagePath::Metadata(_)) => Some(Row::ImageMetadata),
            Some(ImagePath::Target(_)) => Some(Row::ImageTarget),
            None => None,
        },
        Route::Ddi(Room { asked, .. }) => match asked {
            Some(DdiPath::Root) => Some(Row::DdiRoot),
            Some(DdiPath::ConfigData) => Some(Row::DdiConfigData),
            Some(DdiPath::Deployment(_)) => Some(Row::DdiDeployment),
            Some(DdiPath::DeploymentFeedback(_)) => Some(Row::DdiDeploymentFeedback),
            Some(DdiPath::Cancel(_)) => Some(Row::DdiCancel),
            Some(DdiPath::CancelFeedback(_)) => Some(Row::DdiCancelFeedback),
            Some(DdiPath::Installed(_)) => Some(Row::DdiInstalled),
            Some(DdiPath::Artifact(_)) => Some(Row::DdiArtifact),
            None => None,
        },
        Route::Uptane { asked, .. } => match asked {
            Some(UptanePath::File(_)) => Some(Row::UptaneMetadata),
            Some(UptanePath::Nonce) => Some(Row::UptaneNonce),
            Some(UptanePath::Manifest) => Some(Row::UptaneManifest),
            Some(UptanePath::Report) => Some(Row::UptaneReport),
            None => None,
        },
    }
}

impl Row {
    /// As the page calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ImageMetadata => "`GET /images/metadata/FILE`",
            Self::ImageTarget => "`GET /images/targets/FILE`",
            Self::DdiRoot => "`GET /TENANT/controller/v1/DEVICE`",
            Self::DdiConfigData => "`PUT .../configData`",
            Self::DdiDeployment => "`GET .../deploymentBase/N`",
            Self::DdiArtifact => "`GET .../artifacts/SHA-256`",
            Self::DdiDeploymentFeedback => "`POST .../deploymentBase/N/feedback`",
            Self::DdiInstalled => "`GET .../installedBase/N`",
            Self::DdiCancel => "`GET .../cancelAction/N`",
            Self::DdiCancelFeedback => "`POST .../cancelAction/N/feedback`",
            Self::UptaneMetadata => "`GET /director/DEVICE/metadata/FILE`",
            Self::UptaneNonce => "`GET /director/DEVICE/nonce`",
            Self::UptaneManifest => "`POST /director/DEVICE/manifest`",
            Self::UptaneReport => "`POST /director/DEVICE/report`",
        }
    }
}

/// What comes of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// What was asked for.
    Answered,
    /// The connection ends before anything is asked.
    Ends,
    /// It is told, with this status, that this is another's.
    Others(u16),
}

/// The table itself.
pub const fn verdict(row: Row, who: Who) -> Verdict {
    match who {
        Who::Nobody | Who::WrongAuthority | Who::Expired | Who::Revoked | Who::WrongRole => Verdict::Ends,
        Who::Right => Verdict::Answered,
        Who::Another => match row {
            // What there is is for whoever is let in.
            Row::ImageMetadata | Row::ImageTarget => Verdict::Answered,
            Row::UptaneMetadata | Row::UptaneNonce | Row::UptaneManifest | Row::UptaneReport => Verdict::Others(403),
            Row::DdiRoot | Row::DdiConfigData | Row::DdiDeployment | Row::DdiArtifact => Verdict::Others(404),
            Row::DdiDeploymentFeedback | Row::DdiInstalled => Verdict::Others(404),
            Row::DdiCancel | Row::DdiCancelFeedback => Verdict::Others(404),
        },
    }
}

/// The table as a page has it.
pub fn page() -> String {
    let mut page = "| | nothing | from elsewhere | ended | revoked | not for clients | another's | own |\n|---|---|---|---|---|---|---|---|\n".to_owned();
    for row in Row::ALL {
        let cells = Who::ALL.map(|who| match verdict(*row, who) {
            Verdict::Answered => "yes".to_owned(),
            Verdict::Ends => "TLS ends".to_owned(),
            Verdict::Others(status) => format!("no: {status}"),
        });
        page.push_str(&format!("| {} | {} |\n", row.name(), cells.join(" | ")));
    }
    page
}
