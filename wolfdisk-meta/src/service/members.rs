//! Tokens, joining, and the members.

use wolfdisk_proto::Failure;
use wolfdisk_proto::call::Call;
use wolfdisk_proto::v1;

use super::rpc::Service;

fn not_yet<T>() -> Result<T, Failure> {
    Err(Failure::Unsupported("not yet".to_owned()))
}

impl Service {
    pub(super) async fn issue_token(
        &self,
        _call: &mut Call,
        _request: v1::IssueTokenRequest,
    ) -> Result<v1::IssueTokenReply, Failure> {
        not_yet()
    }

    pub(super) async fn join(
        &self,
        _call: &mut Call,
        _request: v1::JoinRequest,
    ) -> Result<v1::JoinReply, Failure> {
        not_yet()
    }

    pub(super) fn list_members(
        &self,
        _call: &mut Call,
        _request: v1::Empty,
    ) -> Result<v1::ListMembersReply, Failure> {
        not_yet()
    }

    pub(super) async fn change_member(
        &self,
        _call: &mut Call,
        _request: v1::ChangeMemberRequest,
    ) -> Result<v1::ChangeMemberReply, Failure> {
        not_yet()
    }

    pub(super) fn gateway_keys(
        &self,
        _call: &mut Call,
        _request: v1::Empty,
    ) -> Result<v1::GatewayKeysReply, Failure> {
        not_yet()
    }

    pub(super) fn servers(
        &self,
        _call: &mut Call,
        _request: v1::Empty,
    ) -> Result<v1::ServersReply, Failure> {
        not_yet()
    }
}
