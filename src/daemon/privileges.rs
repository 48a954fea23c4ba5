//! Which account the process runs as: never root.
//!
//! Owns the switch of user and groups at start. Must run before files are opened for writing and
//! before the first thread (user and group are per thread in the kernel). Mirrors: surface 2.1.

use std::ffi::{CString, NulError};

use nix::unistd::{Gid, Uid, User, geteuid, initgroups, setgid, setuid};

/// Why the process cannot run as asked; fatal.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    /// Nobody was named to switch to.
    #[error("pgweir should not run as root")]
    Root,
    /// No such account.
    #[error("could not find user '{0}' to switch to")]
    NoSuchUser(String),
    /// The account database cannot be read, or the switch is not allowed.
    #[error("could not switch to user '{user}': {errno}")]
    Switch {
        /// As configured.
        user: String,
        /// From the system.
        errno: nix::Error,
    },
    /// A name no account can have.
    #[error("invalid user name: {0}")]
    Name(#[from] NulError),
}

/// Switches to `user` (`-u`, else the setting `user`) and refuses to go on as root. Naming the
/// account the process already has is fine without privileges.
///
/// # Errors
/// See [`PrivilegeError`].
pub fn settle(user: Option<&str>) -> Result<(), PrivilegeError> {
    if let Some(name) = user.filter(|name| !name.is_empty()) {
        let account = find(name)?;
        if account.uid != geteuid() {
            switch(name, account.uid, account.gid).map_err(|errno| PrivilegeError::Switch {
                user: name.to_owned(),
                errno,
            })?;
        }
    }
    if geteuid().is_root() {
        Err(PrivilegeError::Root)
    } else {
        Ok(())
    }
}

fn find(name: &str) -> Result<User, PrivilegeError> {
    CString::new(name)?;
    User::from_name(name)
        .map_err(|errno| PrivilegeError::Switch {
            user: name.to_owned(),
            errno,
        })?
        .ok_or_else(|| PrivilegeError::NoSuchUser(name.to_owned()))
}

/// Groups first: afterwards there is no right left to change them.
fn switch(name: &str, uid: Uid, gid: Gid) -> nix::Result<()> {
    let c_name = CString::new(name).map_err(|_| nix::Error::EINVAL)?;
    initgroups(&c_name, gid)?;
    setgid(gid)?;
    setuid(uid)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn unknown_accounts_are_named() {
        let error = settle(Some("nosuch-account")).unwrap_err().to_string();
        assert_eq!(error, "could not find user 'nosuch-account' to switch to");
        assert!(
            settle(Some("a\0b"))
                .unwrap_err()
                .to_string()
                .starts_with("invalid user name")
        );
    }

    #[test]
    fn root_is_refused_and_everybody_else_may_name_himself() {
        let me = User::from_uid(geteuid()).unwrap().map(|user| user.name);
        for user in [None, Some(""), me.as_deref()] {
            let result = settle(user).map_err(|e| e.to_string());
            if geteuid().is_root() {
                assert_eq!(result, Err("pgweir should not run as root".into()));
            } else {
                assert_eq!(result, Ok(()));
            }
        }
    }
}
