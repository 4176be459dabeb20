//! The contract of a kind that is asked and answered, never stored: `SubjectAccessReview` and its
//! like.

use async_trait::async_trait;
use machinery::decode::protobuf::Message;
use machinery::meta::Object;
use machinery::status::Status;

use crate::description::Description;
use crate::request_context::RequestContext;

/// A kind that only knows `create`: the body is a question, the answer is the body with its status.
#[async_trait]
pub trait Review: Send + Sync + 'static {
    /// The type of its objects.
    type Object: Object;

    /// What the kind is.
    fn description(&self) -> &Description;

    /// What its objects look like in protobuf. Kinds without it take JSON and YAML only.
    fn protobuf(&self) -> Option<&'static Message> {
        None
    }

    /// Whether an answer changes something: such requests are logged as writes are.
    fn changes_state(&self) -> bool {
        false
    }

    /// Answers a question of a dry run, which must not change anything.
    async fn dry_run(
        &self,
        cx: &RequestContext,
        question: Self::Object,
    ) -> Result<Self::Object, Status> {
        self.review(cx, question).await
    }

    /// Answers a question.
    async fn review(
        &self,
        cx: &RequestContext,
        question: Self::Object,
    ) -> Result<Self::Object, Status>;
}
