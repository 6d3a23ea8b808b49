//! From a request to a proved account and an instance that it holds a grant on.

use axum::http::request::Parts;

use super::App;
use super::paths::Names;
use crate::authn::{Principal, from_header};
use crate::authz::{self, Action};
use crate::error::{Error, Rejection, Result};
use crate::registry::{Instance, check_path_names};

/// Proves who asks, and decides whether they may do that with the instance of the path.
pub(super) async fn admit(
    app: &App,
    parts: &Parts,
    names: &Names,
    action: Action,
) -> Result<(Principal, Instance)> {
    let principal = app.authn.bearer(from_header(&parts.headers)?).await?;
    app.limits.check_account(&principal.account.id)?;
    if !principal.scopes.api {
        return Err(Error::Denied(
            "the token's scope does not open the API; ask for sqlservice.admin or cloud-platform"
                .to_owned(),
        ));
    }
    let instance = authorize(app, &principal, names, action).await?;
    Ok((principal, instance))
}

/// Decides again, for a request that has waited.
pub(super) async fn readmit(
    app: &App,
    principal: &Principal,
    names: &Names,
    action: Action,
) -> Result<Instance> {
    if !app.authn.is_current(principal).await? {
        return Err(Rejection::Token.into());
    }
    authorize(app, principal, names, action).await
}

async fn authorize(
    app: &App,
    principal: &Principal,
    names: &Names,
    action: Action,
) -> Result<Instance> {
    check_path_names(&names.project, &names.instance)?;
    let instance = app
        .registry
        .instance(&names.project, &names.instance)
        .await?;
    let roles = match &instance {
        Some(instance) => app.registry.roles(instance, &principal.account.id).await?,
        None => Vec::new(),
    };
    let account = principal.account.name.as_str();
    authz::decide(action, &roles, account, &names.project, &names.instance)?;
    instance.ok_or(Error::Crypto("a role without an instance"))
}
