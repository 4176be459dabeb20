use futures_util::FutureExt;

use super::*;

/// Takes a seat, which must be free.
#[track_caller]
fn seated(level: &Arc<Level>, flow: &str) -> Seat {
    level.seat(flow).now_or_never().unwrap().unwrap()
}

/// Returns the error of a request that is rejected immediately.
#[track_caller]
fn refused(level: &Arc<Level>, flow: &str) -> Overload {
    level.seat(flow).now_or_never().unwrap().unwrap_err()
}

/// Starts a task with a request that must wait.
async fn waiting(level: &Arc<Level>, flow: &'static str) -> tokio::task::JoinHandle<Seat> {
    let level = Arc::clone(level);
    let waiting = tokio::spawn(async move { level.seat(flow).await.unwrap() });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    waiting
}

/// Returns the flows that hold seats and the number of their seats, sorted.
fn holders(level: &Level) -> Vec<(String, usize)> {
    let state = level.state();
    let holders = state.flows.iter().filter(|(_, flow)| flow.taken > 0);
    let mut holders: Vec<_> = holders
        .map(|(name, flow)| (name.to_string(), flow.taken))
        .collect();
    holders.sort();
    holders
}

#[tokio::test]
async fn a_flow_holds_a_quarter_of_the_seats() {
    let level = Level::with_queues("test", 8);
    let alice = [seated(&level, "alice"), seated(&level, "alice")];
    let third = waiting(&level, "alice").await;
    let _bob = seated(&level, "bob");
    assert_eq!(
        holders(&level),
        [("alice".to_owned(), 2), ("bob".to_owned(), 1)]
    );
    drop(alice);
    third.await.unwrap();
}

#[tokio::test]
async fn free_seats_go_to_the_flows_in_turn() {
    let level = Level::with_queues("test", 2);
    let (first, second) = (seated(&level, "a"), seated(&level, "b"));
    // Three requests of c wait before the one of d.
    let c = [
        waiting(&level, "c").await,
        waiting(&level, "c").await,
        waiting(&level, "c").await,
    ];
    let d = waiting(&level, "d").await;
    drop(first);
    drop(second);
    let [c1, c2, c3] = c;
    let (c1, d) = (c1.await.unwrap(), d.await.unwrap());
    assert_eq!(holders(&level), [("c".to_owned(), 1), ("d".to_owned(), 1)]);
    assert!(!c2.is_finished());
    drop(d);
    tokio::task::yield_now().await;
    assert!(!c2.is_finished(), "c holds its share");
    drop(c1);
    drop(c2.await.unwrap());
    drop(c3.await.unwrap());
    assert_eq!(holders(&level), []);
    assert!(level.state().flows.is_empty() && level.state().turns.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends() {
    let level = Level::with_queues("test", 1);
    let seat = seated(&level, "a");
    assert_eq!(level.seat("b").await.unwrap_err(), Overload::TimedOut);
    drop(seat);
    seated(&level, "b");
}

#[tokio::test]
async fn queues_are_bounded() {
    let level = Level::with_queues("test", 1);
    let seat = seated(&level, "a");
    let mut queued = Vec::new();
    for _ in 0..QUEUE {
        let mut request = Box::pin(level.seat("a"));
        assert!(request.as_mut().now_or_never().is_none());
        queued.push(request);
    }
    assert_eq!(refused(&level, "a"), Overload::QueueFull);
    assert!(level.seat("b").now_or_never().is_none(), "b has a queue");

    // A request that is gone makes room for another one.
    queued.pop();
    assert!(level.seat("a").now_or_never().is_none());
    drop((queued, seat));
    seated(&level, "b");
    assert_eq!(level.state().waiting, 0);
}

#[tokio::test]
async fn all_queues_together_are_bounded() {
    let level = Level::with_queues("test", 1);
    let _seat = seated(&level, "a");
    let flows: Vec<String> = (0..=QUEUES).map(|number| number.to_string()).collect();
    let mut queued = Vec::new();
    for flow in &flows[..QUEUES] {
        let mut request = Box::pin(level.seat(flow));
        assert!(request.as_mut().now_or_never().is_none());
        queued.push(request);
    }
    assert_eq!(refused(&level, &flows[QUEUES]), Overload::QueueFull);
    drop(queued);
    assert!(level.seat(&flows[QUEUES]).now_or_never().is_none());
}

#[tokio::test]
async fn without_queues_nothing_waits() {
    let level = Level::without_queues("test", 4);
    let seat = seated(&level, "a");
    assert_eq!(refused(&level, "a"), Overload::QueueFull);
    drop(seat);
    seated(&level, "a");
    assert_eq!(
        refused(&Level::with_queues("none", 0), "a"),
        Overload::QueueFull
    );
}

#[tokio::test]
async fn clones_of_a_seat_are_one_seat() {
    let level = Level::with_queues("test", 1);
    let seat = seated(&level, "a");
    let clone = seat.clone();
    drop(seat);
    assert_eq!(holders(&level), [("a".to_owned(), 1)]);
    drop(clone);
    assert_eq!(holders(&level), []);
}
