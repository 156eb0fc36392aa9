//! What a policy may ask and write, at the desk.

use patrol_policy::types::{
    Census, Digest, End, Id, LiveRule, Owner, PreviousSecret, Scope, Session, SessionState, Timestamp, Token,
    TokenState,
};

use super::super::world::Secrets;
use super::Shared;
use crate::service::exchange::Answer;
use crate::store::{ReadRecords, Result, StoreError, Tenants, WriteRecords};

impl ReadRecords for Shared {
    fn token_state(&self, id: Id) -> Result<Option<TokenState>> {
        self.lock().token(id, true)
    }

    fn owner(&self, id: Id) -> Result<Option<Owner>> {
        let mut desk = self.lock();
        let owner = desk.live_owner(id, true)?;
        Ok(owner.map(|owner| desk.world.owner(owner)))
    }

    fn count_live_tokens(&self, owner: Id, rule: LiveRule) -> Result<u32> {
        self.lock().count(owner, rule)
    }

    fn live_name_exists(&self, owner: Id, name: &str, rule: LiveRule) -> Result<bool> {
        self.lock().name_exists(owner, name, rule)
    }

    fn list_live_tokens(&self, owner: Id, rule: LiveRule) -> Result<Vec<TokenState>> {
        self.lock().live_list(owner, rule, "list-live-tokens")
    }

    fn list_open_sessions(&self, token: Id) -> Result<Vec<Session>> {
        self.lock().sessions(token)
    }

    fn session_state(&self, id: Id) -> Result<Option<SessionState>> {
        self.lock().session(id, true)
    }

    fn auth_method(&self, scope: Scope) -> Result<Option<String>> {
        self.lock().method(scope)
    }

    fn census(&self, scope: Scope, rule: LiveRule) -> Result<Census> {
        self.lock().census(scope, rule)
    }

    fn list_lapsed_tokens(&self, tenants: &Tenants, rule: LiveRule, limit: u32) -> Result<Vec<TokenState>> {
        // For sweeping alone, which is not replayed. A policy may look all the same.
        self.lock()
            .now_stored("list-lapsed-tokens")?
            .list_lapsed_tokens(tenants, rule, limit)
    }
}

impl WriteRecords for Shared {
    fn insert_token(&mut self, token: &Token, name: &str) -> Result<()> {
        let mut desk = self.lock();
        if desk.token(token.id, false)?.is_some() {
            return Err(StoreError::Unavailable("the token exists".to_owned()));
        }
        let delta = desk.world.change_token(token.id, token.owner, None);
        delta.made = Some(*token);
        delta.name = Some(name.to_owned());
        Ok(())
    }

    fn replace_secret(
        &mut self,
        id: Id,
        generation: u32,
        scheme: u8,
        digest: Digest,
        previous: Option<PreviousSecret>,
    ) -> Result<()> {
        let secrets = Secrets {
            generation,
            scheme,
            digest,
            previous,
        };
        let mut desk = self.lock();
        let Some(state) = desk.token(id, false)? else {
            return Err(StoreError::Unavailable("there is no such token".to_owned()));
        };
        let live = desk.live_token(id, false)?;
        let delta = desk.world.change_token(id, state.token.owner, live.as_ref());
        match &mut delta.made {
            Some(made) => secrets.put(made),
            None => delta.secrets = Some(secrets),
        }
        Ok(())
    }

    fn end_token(&mut self, id: Id, end: End) -> Result<()> {
        self.lock().end(id, end)
    }

    fn end_live_tokens(&mut self, owner: Id, rule: LiveRule, end: End) -> Result<u32> {
        self.lock().end_all(owner, rule, end)
    }

    fn insert_session(&mut self, session: &Session) -> Result<()> {
        let mut desk = self.lock();
        desk.world.change_session(session.id, session.token).made = Some(*session);
        Ok(())
    }

    fn end_session(&mut self, id: Id, end: End) -> Result<()> {
        let mut desk = self.lock();
        let known = match desk.world.session(id) {
            Some(delta) => Some(delta.token),
            None => {
                let token = desk.exchange.answers.iter().find_map(|answer| match answer {
                    Answer::Sessions(token, list) => list.iter().any(|one| one.id == id).then_some(*token),
                    _ => None,
                });
                match token {
                    Some(token) => Some(token),
                    None => desk.session(id, false)?.map(|state| state.session.token),
                }
            }
        };
        let Some(token) = known else {
            return Err(StoreError::Unavailable("there is no such session".to_owned()));
        };
        let delta = desk.world.change_session(id, token);
        match &mut delta.made {
            Some(made) => made.ended = made.ended.or(Some(end)),
            None => delta.ended = Some(delta.ended.flatten().or(Some(end))),
        }
        Ok(())
    }

    fn set_auth_method(&mut self, scope: Scope, method: &str, at: Timestamp) -> Result<()> {
        let (Scope::Tenant(id) | Scope::Owner(id)) = scope;
        let mut desk = self.lock();
        let delta = desk.world.change_scope(id);
        delta.changes.push((at, true));
        delta.method = Some(method.to_owned());
        Ok(())
    }

    fn erase_previous_secrets(&mut self, _: &Tenants, _: Timestamp, _: u32) -> Result<u32> {
        Err(not_swept())
    }

    fn forget_tokens(&mut self, _: &Tenants, _: Timestamp, _: u32) -> Result<u32> {
        Err(not_swept())
    }

    fn forget_sessions(&mut self, _: &Tenants, _: Timestamp, _: Timestamp, _: u32) -> Result<u32> {
        Err(not_swept())
    }
}

fn not_swept() -> StoreError {
    StoreError::Unavailable("a replay does not sweep".to_owned())
}
