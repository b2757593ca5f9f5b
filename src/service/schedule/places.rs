//! Where evidence may be sent, as the settings say.

use std::path::Path;

use crate::domain::schedule::Place;
use crate::domain::secret::Secret;
use crate::notify::mail::Mailer;
use crate::notify::share::Share;
use crate::notify::upload::Uploads;

/// Where mails with evidence may go.
#[derive(Clone, Debug)]
pub struct Mails {
    /// Who sends them.
    pub mailer: Mailer,
    /// The domains of their addresses, in lower case.
    pub domains: Vec<String>,
    /// The largest file in one, in bytes.
    pub most: u64,
}

/// Where evidence may be sent. What is none is refused.
#[derive(Clone, Debug)]
pub struct Places {
    /// The folder beneath which files are left.
    pub share: Option<Share>,
    /// Hosts that files are posted to.
    pub uploads: Option<Uploads>,
    /// Mail.
    pub mails: Option<Mails>,
    /// How often a run is tried.
    pub tries: i32,
    /// Where people find this, without a slash at the end; empty where that is not known.
    pub public_url: String,
}

impl Default for Places {
    fn default() -> Self {
        Self { share: None, uploads: None, mails: None, tries: 6, public_url: String::new() }
    }
}

impl Places {
    /// Files are left beneath `folder`.
    pub fn with_folder(self, folder: &Path) -> Self {
        Self { share: Some(Share::new(folder)), ..self }
    }

    /// Files of at most `most` bytes are posted to `hosts`, signed with `secret`.
    ///
    /// # Errors
    /// A sentence on what is wrong.
    pub fn with_webhooks(self, hosts: &[String], secret: Secret, most: u64) -> Result<Self, String> {
        Ok(Self { uploads: Some(Uploads::new(hosts, secret, most)?), ..self })
    }

    /// Files of at most `most` bytes are mailed to addresses of `domains`.
    pub fn with_mail(self, mailer: Mailer, domains: &[String], most: u64) -> Self {
        Self { mails: Some(Mails { mailer, domains: domains.to_vec(), most }), ..self }
    }

    /// Whether evidence may be sent to `place`.
    ///
    /// # Errors
    /// A sentence on why not, and what can be done.
    pub fn check(&self, place: &Place) -> Result<(), String> {
        match place {
            Place::Folder(_) if self.share.is_none() => Err("No folder is open to schedules: schedules.folder of the settings is empty.".into()),
            Place::Folder(_) => Ok(()),
            Place::Webhook(url) => match &self.uploads {
                None => Err("No host is open to schedules: schedules.webhook_hosts of the settings is empty.".into()),
                Some(uploads) => uploads.allowed(url).map(drop),
            },
            Place::Mail(addresses) => {
                let Some(mails) = &self.mails else {
                    return Err("No mail is sent by schedules: mail.host or schedules.mail_domains of the settings is empty.".into());
                };
                let is_other = |address: &&String| !address.rsplit_once('@').is_some_and(|(_, domain)| mails.domains.iter().any(|ours| ours == domain));
                match addresses.iter().find(is_other) {
                    Some(other) => Err(format!("{other} is of no domain of schedules.mail_domains in the settings ({}).", mails.domains.join(", "))),
                    None => Ok(()),
                }
            }
        }
    }

    /// Where evidence may be sent, each with its word and what there is to know.
    pub fn open(&self) -> Vec<(&'static str, String)> {
        let mut open = Vec::new();
        if self.share.is_some() {
            open.push(("folder", "A folder beneath the one of the settings, such as auditors/weekly.".to_owned()));
        }
        if let Some(uploads) = &self.uploads {
            open.push(("webhook", format!("An address at {}.", uploads.hosts().join(", "))));
        }
        if let Some(mails) = &self.mails {
            open.push(("mail", format!("Addresses at {}.", mails.domains.join(", "))));
        }
        open
    }
}
