use std::sync::atomic::{AtomicUsize, Ordering};

use machinery::testing::ManualClock;
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::*;
use crate::delegated::fixtures::{self, KEY};

fn answers(capacity: usize) -> (Arc<Answers<usize>>, Arc<ManualClock>) {
    let clock = fixtures::clock();
    let answers = Answers::new(capacity, &KEY, Arc::clone(&clock) as Arc<dyn Clock>);
    (Arc::new(answers), clock)
}

/// Returns the answer to `question`: the cached one, or `fresh`.
async fn ask(answers: &Answers<usize>, question: &str, fresh: usize) -> usize {
    let question = [question.as_bytes()];
    let answer = answers.get(&question, async { Ok(fresh) });
    answer.await.unwrap()
}

async fn fail(answers: &Answers<usize>, question: &str) -> String {
    let down = async { Err(ReviewError::new("connection refused")) };
    let error = answers.get(&[question.as_bytes()], down).await.unwrap_err();
    format!("{error}: {}", error.0)
}

const REFUSED: &str = "the review request failed: connection refused";

#[tokio::test]
async fn answer_counts_for_ten_seconds_from_when_it_was_asked_for() {
    let (answers, clock) = answers(10);
    let slow = answers.get(&[b"q"], async {
        clock.advance(SignedDuration::from_millis(3_000));
        Ok(1)
    });
    assert_eq!(slow.await.unwrap(), 1);
    clock.advance(SignedDuration::from_millis(6_999));
    assert_eq!(ask(&answers, "q", 2).await, 1);
    clock.advance(SignedDuration::from_millis(1));
    assert_eq!(ask(&answers, "q", 3).await, 3);
    assert_eq!(ask(&answers, "q", 4).await, 3);
    clock.advance(SignedDuration::from_millis(-1));
    assert_eq!(ask(&answers, "q", 5).await, 5, "the clock went back");
}

#[tokio::test]
async fn failure_is_not_remembered_and_takes_no_answer_away() {
    let (answers, clock) = answers(10);
    assert_eq!(fail(&answers, "q").await, REFUSED);
    assert_eq!(ask(&answers, "q", 1).await, 1);
    clock.advance(SignedDuration::from_millis(9_999));
    assert_eq!(ask(&answers, "q", 2).await, 1);
    clock.advance(SignedDuration::from_millis(1));
    assert_eq!(fail(&answers, "q").await, REFUSED);
}

#[tokio::test]
async fn questions_are_told_apart_by_all_their_parts() {
    let (answers, _) = answers(100);
    let questions: [&[&[u8]]; 6] = [
        &[b"ab", b"c"],
        &[b"a", b"bc"],
        &[b"abc"],
        &[b"abc", b""],
        &[b"c", b"ab"],
        &[],
    ];
    for (fresh, question) in questions.iter().enumerate() {
        let answer = answers.get(question, async { Ok(fresh) }).await;
        assert_eq!(answer.unwrap(), fresh, "{question:?}");
    }
}

/// A question that is answered with its own number once the test permits it.
struct Slow {
    answers: Arc<Answers<usize>>,
    allowed: Notify,
    started: AtomicUsize,
}

impl Slow {
    fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self {
            answers: answers(capacity).0,
            allowed: Notify::new(),
            started: AtomicUsize::new(0),
        })
    }

    async fn ask(&self, question: usize) -> Result<usize, ReviewError> {
        let question = question.to_be_bytes();
        let ask = async {
            let number = self.started.fetch_add(1, Ordering::Relaxed);
            self.allowed.notified().await;
            if number == 0 {
                return Err(ReviewError::new("connection refused"));
            }
            Ok(number)
        };
        self.answers.get(&[&question], ask).await
    }

    fn spawn(self: &Arc<Self>, question: usize) -> tokio::task::JoinHandle<Option<usize>> {
        let slow = Arc::clone(self);
        tokio::spawn(async move { slow.ask(question).await.ok() })
    }

    fn started(&self) -> usize {
        self.started.load(Ordering::Relaxed)
    }
}

#[tokio::test]
async fn who_asks_meanwhile_gets_the_same_answer_or_failure() {
    let slow = Slow::new(10);
    for (expected, started) in [(None, 1), (Some(1), 2)] {
        let together = [slow.spawn(0), slow.spawn(0), slow.spawn(0)];
        yield_now().await;
        assert_eq!(slow.started(), started);
        slow.allowed.notify_one();
        for one in together {
            assert_eq!(one.await.unwrap(), expected);
        }
    }
    assert_eq!(slow.ask(0).await.unwrap(), 1);
    assert_eq!(slow.started(), 2);
}

#[tokio::test]
async fn another_asks_where_the_first_goes_away() {
    let slow = Slow::new(10);
    let (first, second) = (slow.spawn(0), slow.spawn(0));
    yield_now().await;
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    yield_now().await;
    slow.allowed.notify_one();
    assert_eq!(second.await.unwrap(), Some(1));
    assert_eq!(slow.started(), 2);
}

#[tokio::test(start_paused = true)]
async fn questions_wait_for_a_place_and_not_for_ever() {
    let slow = Slow::new(10_000);
    let asked: Vec<_> = (0..=AT_ONCE).map(|question| slow.spawn(question)).collect();
    time::sleep(LIMIT / 2).await;
    assert_eq!(slow.started(), AT_ONCE);
    for one in asked {
        assert_eq!(one.await.unwrap(), None);
    }
    assert_eq!(slow.answers.places.available_permits(), AT_ONCE);
}

#[tokio::test]
async fn memory_is_bounded_and_keeps_what_is_used() {
    let (answers, _) = answers(8);
    ask(&answers, "used", 1).await;
    for stranger in 0..100 {
        ask(&answers, &format!("stranger {stranger}"), 0).await;
        assert_eq!(ask(&answers, "used", 2).await, 1);
        let generations = answers.generations();
        assert!(generations.young.len() + generations.old.len() <= 8);
    }
    assert_eq!(ask(&answers, "stranger 0", 3).await, 3);
}
