//! The strategy of a kind that is evaluated and never stored, such as `SubjectAccessReview`.

use async_trait::async_trait;
use machinery::decode::protobuf::Message;
use machinery::meta::Object;
use machinery::status::Status;

use crate::description::Description;
use crate::request_context::RequestContext;

/// A kind whose only verb is `create`. The request body is the question, and the response is that
/// object with its status filled in.
#[async_trait]
pub trait Review: Send + Sync + 'static {
    /// The type of its objects.
    type Object: Object;

    /// Returns the description of the kind.
    fn description(&self) -> &Description;

    /// Returns the protobuf definition of its objects. Kinds without one accept only JSON and YAML.
    fn protobuf(&self) -> Option<&'static Message> {
        None
    }

    /// Returns whether a review changes state. Such requests are logged like writes.
    fn changes_state(&self) -> bool {
        false
    }

    /// Answers a dry-run request, which must not change anything.
    async fn dry_run(
        &self,
        cx: &RequestContext,
        question: Self::Object,
    ) -> Result<Self::Object, Status> {
        self.review(cx, question).await
    }

    /// Answers a request.
    async fn review(
        &self,
        cx: &RequestContext,
        question: Self::Object,
    ) -> Result<Self::Object, Status>;
}
