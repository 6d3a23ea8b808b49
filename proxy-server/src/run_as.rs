//! Giving up root: the agent becomes an ordinary user once its ports are bound.
//!
//! On Linux these calls change the calling thread only, so they come before the runtime starts its threads.
//! The user is looked up in `/etc/passwd` and `/etc/group`; one that only a directory service knows is given as `UID:GID`.

use std::path::Path;

use rustix::process::{Gid, RawGid, RawUid, Uid, geteuid, getuid};
use rustix::thread::{set_no_new_privs, set_thread_groups, set_thread_res_gid, set_thread_res_uid};

/// An ordinary user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct User {
    uid: RawUid,
    gid: RawGid,
    groups: Vec<RawGid>,
}

/// Why the agent cannot become that user.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunAsError {
    #[error("no user {0:?} in /etc/passwd (one of a directory service is given as UID:GID)")]
    Unknown(String),
    #[error("cannot read {path}")]
    Read {
        path: &'static str,
        source: std::io::Error,
    },
    #[error("--run-as names root, and not being root is its purpose")]
    Root,
    #[error("only root can become another user")]
    NotRoot,
    #[error("cannot become the user of --run-as")]
    System(#[from] rustix::io::Errno),
    #[error("the program has other threads already, which would stay root")]
    Threads,
    #[error("the user of --run-as could become root again")]
    Reversible,
}

impl User {
    /// Looks a user up: a name, or `UID:GID`.
    pub(crate) fn find(name: &str) -> Result<Self, RunAsError> {
        let read = |path: &'static str| {
            std::fs::read_to_string(path).map_err(|source| RunAsError::Read { path, source })
        };
        if let Some(user) = numeric(name) {
            return checked(user);
        }
        let user = named(name, &read("/etc/passwd")?, &read("/etc/group")?)
            .ok_or_else(|| RunAsError::Unknown(name.to_owned()))?;
        checked(user)
    }

    /// Becomes this user for good. Call it while the program has one thread.
    pub(crate) fn become_it(&self) -> Result<(), RunAsError> {
        if getuid().as_raw() == self.uid && geteuid().as_raw() == self.uid {
            return Ok(());
        }
        if !geteuid().is_root() {
            return Err(RunAsError::NotRoot);
        }
        only_thread()?;
        let (uid, gid) = (Uid::from_raw(self.uid), Gid::from_raw(self.gid));
        let groups: Vec<Gid> = self.groups.iter().copied().map(Gid::from_raw).collect();
        set_thread_groups(&groups)?;
        set_thread_res_gid(gid, gid, gid)?;
        set_thread_res_uid(uid, uid, uid)?;
        set_no_new_privs(true)?;
        if set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).is_ok() || geteuid().is_root() {
            return Err(RunAsError::Reversible);
        }
        Ok(())
    }
}

fn checked(user: User) -> Result<User, RunAsError> {
    if user.uid == 0 {
        return Err(RunAsError::Root);
    }
    Ok(user)
}

fn only_thread() -> Result<(), RunAsError> {
    let tasks = Path::new("/proc/self/task");
    let read = |source| RunAsError::Read {
        path: "/proc/self/task",
        source,
    };
    if tasks.read_dir().map_err(read)?.count() == 1 {
        Ok(())
    } else {
        Err(RunAsError::Threads)
    }
}

fn numeric(text: &str) -> Option<User> {
    let (uid, gid) = text.split_once(':')?;
    let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
    Some(User {
        uid,
        gid,
        groups: vec![gid],
    })
}

/// `passwd` lines are `name:password:uid:gid:...`, `group` lines `name:password:gid:member,member`.
fn named(name: &str, passwd: &str, group: &str) -> Option<User> {
    let fields = passwd
        .lines()
        .map(|line| line.split(':').collect::<Vec<_>>())
        .find(|fields| fields.first() == Some(&name))?;
    let uid = fields.get(2)?.parse().ok()?;
    let gid: RawGid = fields.get(3)?.parse().ok()?;
    let mut groups = vec![gid];
    for line in group.lines() {
        let fields: Vec<&str> = line.split(':').collect();
        let member = |members: &&str| members.split(',').any(|member| member == name);
        if let (Some(Ok(other)), Some(true)) = (
            fields.get(2).map(|gid| gid.parse()),
            fields.get(3).map(member),
        ) && !groups.contains(&other)
        {
            groups.push(other);
        }
    }
    Some(User { uid, gid, groups })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str =
        "root:x:0:0:root:/root:/bin/bash\ncsql:x:990:991::/:/usr/sbin/nologin\nodd:x:y:1::/:/\n";
    const GROUP: &str = "root:x:0:\nmysql:x:105:csql,other\ncsqlx:x:107:csql2\ncsql:x:991:csql\n";

    #[test]
    fn a_user_is_found_with_its_groups() {
        let user = named("csql", PASSWD, GROUP).unwrap();
        assert_eq!(
            user,
            User {
                uid: 990,
                gid: 991,
                groups: vec![991, 105],
            }
        );
    }

    #[test]
    fn what_is_no_user_is_not_found() {
        for name in ["", "cs", "csql2", "odd", "csql:"] {
            assert_eq!(named(name, PASSWD, GROUP), None, "{name:?} was found");
        }
    }

    #[test]
    fn numbers_stand_for_themselves_and_root_is_refused_by_name_and_by_number() {
        let user = User::find("65534:65533").unwrap();
        assert_eq!((user.uid, user.gid), (65534, 65533));
        for root in ["root", "0:0", "0:5"] {
            assert!(matches!(User::find(root), Err(RunAsError::Root)), "{root}");
        }
        assert!(matches!(
            User::find("no-such-user-here"),
            Err(RunAsError::Unknown(_))
        ));
    }

    #[test]
    fn a_program_with_threads_does_not_try() {
        // The test runner has threads of its own.
        let outcome = User::find("65534:65534").unwrap().become_it();
        assert!(matches!(
            outcome,
            Err(RunAsError::Threads | RunAsError::NotRoot)
        ));
        assert!(geteuid().is_root() || matches!(outcome, Err(RunAsError::NotRoot)));
    }
}
