//! A clock that a test advances, and a host that gives the answers of a test.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use jiff::Timestamp;
use k8s_openapi::api::authentication::v1::{TokenReviewSpec, TokenReviewStatus};
use k8s_openapi::api::authorization::v1::{SubjectAccessReviewSpec, SubjectAccessReviewStatus};
use machinery::testing::ManualClock;

use super::{AccessReviewer, ReviewError, TokenReviewer};

/// The key of every cache under test.
pub(super) const KEY: [u8; 32] = [7; 32];

/// Returns a clock that a test advances.
pub(crate) fn clock() -> Arc<ManualClock> {
    ManualClock::at(Timestamp::constant(1_767_225_600, 0))
}

/// A host that gives these answers in order, and records the questions. When no answer is left, it
/// is unreachable.
pub(super) struct Host<Question, Answer> {
    answers: Mutex<VecDeque<Answer>>,
    asked: Mutex<Vec<Question>>,
}

impl<Question, Answer> Host<Question, Answer> {
    pub(super) fn answering(answers: impl IntoIterator<Item = Answer>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            asked: Mutex::default(),
        })
    }

    /// Returns the questions since the last call.
    pub(super) fn asked(&self) -> Vec<Question> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }

    fn answer(&self, question: Question) -> Result<Answer, ReviewError> {
        self.asked.lock().unwrap().push(question);
        let answer = self.answers.lock().unwrap().pop_front();
        answer.ok_or_else(|| ReviewError::new("connection refused"))
    }
}

#[async_trait]
impl TokenReviewer for Host<TokenReviewSpec, TokenReviewStatus> {
    async fn review_token(&self, spec: TokenReviewSpec) -> Result<TokenReviewStatus, ReviewError> {
        self.answer(spec)
    }
}

#[async_trait]
impl AccessReviewer for Host<SubjectAccessReviewSpec, SubjectAccessReviewStatus> {
    async fn review_access(
        &self,
        spec: SubjectAccessReviewSpec,
    ) -> Result<SubjectAccessReviewStatus, ReviewError> {
        self.answer(spec)
    }
}
