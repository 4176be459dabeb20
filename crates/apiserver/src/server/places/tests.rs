use std::net::Ipv4Addr;

use super::*;

fn places(connections: usize, reserve: usize) -> Arc<Places> {
    let limits = Limits {
        connections,
        reserve,
        unauthenticated_bytes: 800,
        large_heads_bytes: 100_000,
        ..Limits::default()
    };
    Places::new(limits, ConnectionMetrics::default())
}

fn take(places: &Arc<Places>, host: u8) -> Option<Place> {
    let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, host));
    places.take(address, &CancellationToken::new())
}

async fn take_all(places: &Arc<Places>, hosts: &[u8]) -> Vec<Place> {
    let mut taken = Vec::new();
    for host in hosts {
        taken.push(take(places, *host).unwrap());
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    taken
}

fn evicted(taken: &[Place]) -> Vec<usize> {
    let all = taken.iter().enumerate();
    all.filter(|(_, place)| place.activity().evicted.is_cancelled())
        .map(|(number, _)| number)
        .collect()
}

#[tokio::test(start_paused = true)]
async fn the_source_with_the_most_gives_up_its_idlest() {
    let places = places(6, 0);
    let mut taken = take_all(&places, &[1, 2, 2, 2, 3, 3]).await;
    let _request = taken[1].activity().begin_request(0);
    taken[1].activity().authenticated();
    taken.push(take(&places, 4).unwrap());
    assert_eq!(evicted(&taken), [2], "1 has a request");
    assert!(!taken[6].is_reserve());
}

#[tokio::test(start_paused = true)]
async fn a_source_has_a_half_of_the_places() {
    let places = places(6, 0);
    let mut taken = take_all(&places, &[1, 1, 1]).await;
    taken.push(take(&places, 1).unwrap());
    assert_eq!(evicted(&taken), [0]);
    let requests: Vec<_> = taken[1..]
        .iter()
        .map(|place| {
            place.activity().authenticated();
            place.activity().begin_request(0)
        })
        .collect();
    assert!(take(&places, 1).is_none(), "all are busy");
    drop(requests);
    assert!(take(&places, 1).is_some());
}

#[tokio::test(start_paused = true)]
async fn unknown_callers_give_up_places_after_the_idle_and_known_ones_never() {
    let places = places(2, 0);
    let mut taken = take_all(&places, &[1, 2]).await;
    let _requests = [
        taken[0].activity().begin_request(0),
        taken[1].activity().begin_request(0),
    ];
    taken[0].activity().authenticated();
    taken.push(take(&places, 3).unwrap());
    assert_eq!(evicted(&taken), [1]);
    taken[2].activity().take_over();
    assert!(take(&places, 4).is_none());
}

#[tokio::test(start_paused = true)]
async fn the_reserve_is_for_when_all_are_busy() {
    let places = places(2, 2);
    let mut taken = take_all(&places, &[1, 2]).await;
    for place in &taken {
        place.activity().take_over();
    }
    taken.extend(take_all(&places, &[3, 3, 4]).await);
    let reserved: Vec<_> = taken.iter().map(Place::is_reserve).collect();
    assert_eq!(reserved, [false, false, true, true, true]);
    assert_eq!(evicted(&taken), [2], "the oldest one");
    drop(taken.remove(0));
    assert!(!take(&places, 5).unwrap().is_reserve());
}

#[tokio::test(start_paused = true)]
async fn connections_that_are_led_on_have_a_half_of_the_places() {
    let places = places(4, 1);
    let mut taken = take_all(&places, &[1, 2, 3]).await;
    let may: Vec<_> = taken.iter_mut().map(Place::lead_on).collect();
    assert_eq!(may, [true, true, false]);
    drop(taken.remove(0));
    assert!(take(&places, 4).unwrap().lead_on());
}

#[tokio::test(start_paused = true)]
async fn the_source_that_takes_the_most_memory_loses_its_largest() {
    let places = places(10, 0);
    let taken = take_all(&places, &[1, 2, 2, 2]).await;
    for (place, charge) in taken.iter().zip([300, 200, 250, 50]) {
        place.activity().set_charge(charge);
        places.relieve();
    }
    assert_eq!(evicted(&taken), [] as [usize; 0], "800 are allowed");
    taken[3].activity().set_charge(51);
    places.relieve();
    assert_eq!(evicted(&taken), [2]);
}

#[tokio::test]
async fn large_heads_are_bounded_together() {
    let places = places(1, 0);
    let first = places.hold_head(70_000);
    assert!(first.is_some());
    assert!(places.hold_head(70_000).is_none());
    assert!(places.hold_head(LARGE_HEAD).is_some(), "a small one");
    drop(first);
    assert!(places.hold_head(70_000).is_some());
}

#[test]
fn a_network_of_ipv6_is_one_source() {
    #[track_caller]
    fn check(address: &str, expected: &str) {
        let source = source_of(address.parse().unwrap());
        assert_eq!(source.to_string(), expected);
    }
    check("192.0.2.7", "192.0.2.7");
    check("::ffff:192.0.2.7", "192.0.2.7");
    check("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::");
}

#[tokio::test(start_paused = true)]
async fn each_choice_compares_a_sample_and_continues_after_it() {
    let places = places(400, 0);
    let taken = take_all(&places, &[1; 200]).await;
    let newer = [take(&places, 1), take(&places, 1)];
    assert!(newer.iter().all(Option::is_some));
    assert_eq!(evicted(&taken), [0, 64]);
}

#[tokio::test(start_paused = true)]
async fn all_connections_are_compared_if_those_of_the_sample_keep_their_slots() {
    let places = places(400, 0);
    let taken = take_all(&places, &[1; 200]).await;
    for (number, place) in taken.iter().enumerate() {
        if number != 150 {
            place.activity().take_over();
        }
    }
    assert!(take(&places, 1).is_some());
    assert_eq!(evicted(&taken), [150], "of the source");
    let places = self::places(200, 0);
    let mut taken = take_all(&places, &[1; 100]).await;
    taken.extend(take_all(&places, &[2; 99]).await);
    taken.extend(take_all(&places, &[3]).await);
    for place in &taken[..199] {
        place.activity().take_over();
    }
    assert!(take(&places, 4).is_some());
    assert_eq!(evicted(&taken), [199], "of another source");
}
