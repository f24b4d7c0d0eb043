//! Callbacks of the tenant state.

use crate::harness::{Harness, NOON, policy};
use crate::job_steps::{one_run, ran};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sluice_core::keys::Claims;
use sluice_core::protocol::{Admin, Ask, Deletable, DeliveryOutcome, DeliveryReport, Filter, JobsWhat, Reply};
use sluice_core::tenant::store::Table;
use sluice_core::tenant::task::{Delivery, Task};

const DAY: i64 = 86_400_000;
const URL: &str = "https://hooks.example.com/in?token=hush";
const KEY: [u8; 24] = *b"a key of twenty-four b.y";

fn setup(more: &Value) -> (Harness, Claims, Claims) {
    let mut harness = Harness::empty();
    let mut policy = policy();
    let secret = format!("whsec_{}", STANDARD.encode(KEY));
    policy["callbacks"] = json!({"secret": secret, "hosts": ["hooks.example.com"]});
    for (name, value) in more.as_object().unwrap() {
        if value.is_null() {
            policy.as_object_mut().unwrap().remove(name);
        } else {
            policy[name] = value.clone();
        }
    }
    assert_eq!(harness.put(&policy).0, 201);
    let app = harness.app("sync");
    let operator = harness.key(json!({"role": "operator"}));
    (harness, app, operator)
}

/// A job with a callback ends with that status; its id.
fn ends(harness: &mut Harness, app: &Claims, status: u16) -> String {
    let mut keep = harness.keep(app, "free", "GET");
    keep.request.callback = Some(URL.to_owned());
    let id = harness.kept(keep);
    let run = one_run(harness);
    harness.told(Ask::RunReport(Box::new(ran(&run, status))));
    id
}

fn delivery(harness: &mut Harness) -> Option<Delivery> {
    harness.next_task().map(|task| match task {
        Task::Deliver(delivery) => *delivery,
        other => panic!("{other:?}"),
    })
}

fn answers(harness: &mut Harness, delivery: &Delivery, status: u16) {
    let outcome = if status == 0 { DeliveryOutcome::TimedOut } else { DeliveryOutcome::Answered(status) };
    let report = DeliveryReport { id: delivery.id.clone(), attempt: delivery.attempt, outcome, retry_after_ms: None };
    assert!(matches!(harness.now(Ask::DeliveryReport(report)), Reply::Done));
}

fn dead(harness: &mut Harness, claims: &Claims) -> Vec<Value> {
    let list = JobsWhat::List { of: Filter { dead: true, ..Filter::default() }, limit: 1_000, after: None };
    harness.jobs(claims, list).1["items"].as_array().unwrap().clone()
}

fn counts(harness: &mut Harness) -> (u64, u64) {
    let shown = harness.status()["callbacks"].clone();
    (shown["queued"].as_u64().unwrap(), shown["dead"].as_u64().unwrap())
}

/// Has every attempt answered with that status until there are no more; when each was made, ms from the first.
fn fails(harness: &mut Harness, status: u16) -> Vec<i64> {
    let began = harness.now;
    let mut at = Vec::new();
    loop {
        while let Some(delivery) = delivery(harness) {
            at.push(harness.now - began);
            answers(harness, &delivery, status);
        }
        if counts(harness).0 == 0 {
            break;
        }
        let next = harness.tenant.next_alarm().unwrap();
        harness.go_to(next.max(harness.now));
        assert!(at.len() <= 10, "{at:?}");
    }
    at
}

#[test]
fn a_jobs_outcome_goes_to_its_callback_signed_and_is_forgotten_when_delivered() {
    let (mut harness, app, operator) = setup(&json!({}));
    let job = ends(&mut harness, &app, 200);
    harness.now += 1_500;
    let sent = delivery(&mut harness).unwrap();
    assert!(delivery(&mut harness).is_none());
    assert_eq!((sent.url.as_str(), sent.attempt, sent.seconds), (URL, 1, (NOON + 1_500) / 1_000));
    assert!(sent.id.starts_with("msg_") && !sent.id.contains('.'));
    let said: Value = serde_json::from_str(&sent.body).unwrap();
    assert_eq!((&said["type"], &said["timestamp"]), (&json!("job.done"), &json!("2026-06-15T12:00:00.000Z")));
    assert_eq!((&said["data"]["id"], &said["data"]["response"]["body"]), (&json!(job), &json!("the answer")));
    let mut mac = Hmac::<sha2::Sha256>::new_from_slice(&KEY).unwrap();
    mac.update(format!("{}.{}.{}", sent.id, sent.seconds, sent.body).as_bytes());
    let signature = format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()));
    assert_eq!(sent.signature, Some(signature));
    answers(&mut harness, &sent, 204);
    assert_eq!((counts(&mut harness), dead(&mut harness, &operator).len()), ((0, 0), 0));
    assert!(
        !harness.memory.rows.keys().any(|(table, _)| [Table::Webhook as u8, Table::WebhookBody as u8].contains(table))
    );
}

#[test]
fn a_dead_job_is_told_of_too_and_one_without_a_callback_is_not() {
    let (mut harness, app, _) = setup(&json!({}));
    ends(&mut harness, &app, 400);
    let sent = delivery(&mut harness).unwrap();
    let said: Value = serde_json::from_str(&sent.body).unwrap();
    assert_eq!((&said["type"], &said["data"]["error"]), (&json!("job.dead"), &json!("refused")));
    let keep = harness.keep(&app, "free", "GET");
    harness.kept(keep);
    let run = one_run(&mut harness);
    harness.told(Ask::RunReport(Box::new(ran(&run, 200))));
    assert!(delivery(&mut harness).is_none());
}

#[test]
fn a_receiver_that_is_down_wrong_slow_or_elsewhere_is_tried_ten_times_in_three_days_under_one_id() {
    for status in [0, 302, 404, 500, 503] {
        let (mut harness, app, operator) = setup(&json!({}));
        let job = ends(&mut harness, &app, 200);
        let at = fails(&mut harness, status);
        assert_eq!(at.len(), 10, "{status}");
        assert!(at[1] <= 5_500 && (3 * DAY - DAY / 5..4 * DAY).contains(&at[9]), "{at:?}");
        assert_eq!(counts(&mut harness), (0, 1));
        let letters = dead(&mut harness, &operator);
        let letter = &letters[0];
        assert_eq!((&letter["kind"], &letter["type"]), (&json!("callback"), &json!("job.done")));
        assert_eq!((&letter["state"], &letter["error"]), (&json!("dead"), &json!("attempts-spent")));
        assert_eq!((&letter["job"], letter["attempts"].as_array().unwrap().len()), (&json!(job), 10));
        let error = if status == 0 { "timeout".to_owned() } else { status.to_string() };
        assert_eq!(letter["attempts"][9]["error"], error);
        assert!(!letters[0].to_string().contains("hush"));
        let later = harness.now + 30 * DAY;
        harness.go_to(later);
        assert_eq!(counts(&mut harness), (0, 0), "after 30 days it is forgotten");
    }
}

#[test]
fn gone_is_the_end_at_once() {
    let (mut harness, app, operator) = setup(&json!({}));
    ends(&mut harness, &app, 200);
    assert_eq!(fails(&mut harness, 410).len(), 1);
    assert_eq!(dead(&mut harness, &operator)[0]["error"], "gone");
}

#[test]
fn a_receiver_that_asks_for_time_is_given_it() {
    let (mut harness, app, _) = setup(&json!({}));
    ends(&mut harness, &app, 200);
    let sent = delivery(&mut harness).unwrap();
    let (id, attempt) = (sent.id, sent.attempt);
    harness.now(Ask::DeliveryReport(DeliveryReport {
        id,
        attempt,
        outcome: DeliveryOutcome::Answered(503),
        retry_after_ms: Some(120_000),
    }));
    harness.go_to(NOON + 119_999);
    assert!(delivery(&mut harness).is_none());
    harness.go_to(NOON + 120_000);
    assert_eq!(delivery(&mut harness).unwrap().attempt, 2);
}

#[test]
fn a_clock_set_back_holds_no_message_back() {
    for in_another_life in [false, true] {
        let (mut harness, app, _) = setup(&json!({}));
        ends(&mut harness, &app, 200);
        let sent = delivery(&mut harness).unwrap();
        let (id, attempt) = (sent.id, sent.attempt);
        harness.now(Ask::DeliveryReport(DeliveryReport {
            id,
            attempt,
            outcome: DeliveryOutcome::Answered(503),
            retry_after_ms: Some(120_000),
        }));
        harness.now -= 1_800_000;
        let back = harness.now;
        match in_another_life {
            true => harness.reopen(),
            // Any event tells of it.
            false => harness.go_to(back),
        }
        harness.go_to(back + 119_999);
        assert!(delivery(&mut harness).is_none(), "{in_another_life}");
        harness.go_to(back + 120_000);
        assert_eq!(delivery(&mut harness).map(|sent| sent.attempt), Some(2), "{in_another_life}");
    }
}

#[test]
fn no_restart_loses_a_message_whatever_moment_a_life_ends() {
    let (mut harness, app, operator) = setup(&json!({}));
    ends(&mut harness, &app, 200);
    assert!(harness.tenant.next_alarm().is_some_and(|at| at <= NOON), "ready");
    harness.reopen_unnamed();
    let first = delivery(&mut harness).unwrap();
    assert!(harness.tenant.next_alarm().is_some_and(|at| at <= NOON + 25_000), "on its way");
    harness.reopen();
    let again = delivery(&mut harness).unwrap();
    assert_eq!((&again.id, again.attempt, &again.body), (&first.id, 1, &first.body), "cut short, it is no attempt");
    answers(&mut harness, &again, 500);
    harness.reopen();
    assert!(delivery(&mut harness).is_none());
    assert!(harness.tenant.next_alarm().is_some_and(|at| at <= NOON + 5_500), "later");
    harness.go_to(NOON + 5_500);
    answers(&mut harness, &first, 500);
    let second = delivery(&mut harness).unwrap();
    assert_eq!((&second.id, second.attempt), (&first.id, 2));
    answers(&mut harness, &first, 500);
    answers(&mut harness, &second, 410);
    harness.reopen();
    let letters = dead(&mut harness, &operator);
    assert_eq!(letters[0]["attempts"].as_array().unwrap().len(), 2, "what is told late or twice counts once");
}

#[test]
fn what_is_never_heard_of_is_an_attempt_and_sent_again() {
    let (mut harness, app, _) = setup(&json!({}));
    ends(&mut harness, &app, 200);
    let first = delivery(&mut harness).unwrap();
    harness.go_to(NOON + 24_999);
    assert!(delivery(&mut harness).is_none());
    harness.go_to(NOON + 31_000);
    let second = delivery(&mut harness).unwrap();
    assert_eq!((&second.id, second.attempt), (&first.id, 2));
    answers(&mut harness, &first, 200);
    assert_eq!(counts(&mut harness), (0, 0), "it had arrived after all");
}

#[test]
fn a_task_that_no_worker_takes_comes_back() {
    let (mut harness, app, _) = setup(&json!({}));
    ends(&mut harness, &app, 200);
    let sent = delivery(&mut harness).unwrap();
    harness.task_refused(Task::Deliver(Box::new(sent)));
    assert!(delivery(&mut harness).is_none());
    harness.go_to(NOON + 100);
    assert_eq!(delivery(&mut harness).unwrap().attempt, 1);
}

#[test]
fn a_host_that_the_policy_has_no_more_gets_nothing() {
    let (mut harness, app, operator) = setup(&json!({}));
    ends(&mut harness, &app, 200);
    let mut policy = harness.admin(Admin::GetPolicy).1;
    policy["callbacks"]["hosts"] = json!(["other.example.com"]);
    assert_eq!(harness.put(&policy).0, 200);
    assert!(delivery(&mut harness).is_none());
    assert_eq!(dead(&mut harness, &operator)[0]["error"], "not-allowed");
}

#[test]
fn many_messages_go_a_few_at_a_time_and_too_many_are_dead_letters_at_once() {
    let (mut harness, app, operator) = setup(&json!({}));
    let run = {
        let mut keep = harness.keep(&app, "free", "GET");
        keep.request.callback = Some(URL.to_owned());
        harness.kept(keep);
        one_run(&mut harness)
    };
    harness.told(Ask::RunReport(Box::new(ran(&run, 400))));
    // A dead letter, replayed and refused again and again: each end is told.
    for _ in 0..4_759 {
        harness.jobs(&operator, JobsWhat::Replay(run.job.clone()));
        let again = loop {
            match harness.next_task() {
                Some(Task::Run(run)) => break *run,
                Some(Task::Deliver(_)) => {}
                other => panic!("{other:?}"),
            }
        };
        harness.told(Ask::RunReport(Box::new(ran(&again, 400))));
    }
    assert_eq!(counts(&mut harness), (4_750, 10), "half of the places that are not for alerts alone");
    assert_eq!(dead(&mut harness, &operator).iter().filter(|letter| letter["error"] == "queue-full").count(), 10);
    let sending = std::iter::from_fn(|| delivery(&mut harness)).count();
    assert!(sending <= 20, "{sending}");
}

#[test]
fn who_may_see_replay_and_delete_what_could_not_be_delivered() {
    let (mut harness, app, operator) = setup(&json!({"apps": {"sync": {}, "other": {}}}));
    let (other, viewer) = (harness.app("other"), harness.key(json!({"role": "viewer"})));
    ends(&mut harness, &app, 200);
    let sent = delivery(&mut harness).unwrap();
    assert_eq!(harness.jobs(&operator, JobsWhat::Replay(sent.id.clone())), (409, json!("live")));
    assert_eq!(harness.jobs(&operator, JobsWhat::Delete(sent.id.clone(), Deletable::DeadLetter)), (409, json!("live")));
    answers(&mut harness, &sent, 410);
    assert_eq!(
        (dead(&mut harness, &app).len(), dead(&mut harness, &viewer).len(), dead(&mut harness, &other).len()),
        (1, 1, 0)
    );
    assert_eq!(harness.jobs(&other, JobsWhat::Show(sent.id.clone())).0, 404);
    assert_eq!(harness.job(&viewer, &sent.id).get("body"), None);
    assert_eq!(harness.job(&app, &sent.id)["body"], sent.body);
    assert_eq!(harness.jobs(&app, JobsWhat::Replay(sent.id.clone())).0, 403);
    assert_eq!(harness.jobs(&operator, JobsWhat::Replay(sent.id.clone())).0, 202);
    let again = delivery(&mut harness).unwrap();
    assert_eq!((&again.id, again.attempt), (&sent.id, 1));
    answers(&mut harness, &again, 410);
    assert_eq!(harness.jobs(&operator, JobsWhat::ReplayAll(None)), (202, json!({"replayed": 1})));
    let again = delivery(&mut harness).unwrap();
    answers(&mut harness, &again, 410);
    assert_eq!(harness.jobs(&operator, JobsWhat::Delete(sent.id.clone(), Deletable::DeadLetter)).0, 204);
    assert_eq!(harness.jobs(&operator, JobsWhat::Show(sent.id)).0, 404);
    assert_eq!(counts(&mut harness), (0, 0));
}

#[test]
fn dead_letters_of_both_kinds_are_one_list_the_newest_first() {
    let (mut harness, app, operator) = setup(&json!({}));
    let mut ids = Vec::new();
    for _ in 0..3 {
        harness.now += 1;
        ids.push(ends(&mut harness, &app, 400));
        harness.now += 1;
        let sent = delivery(&mut harness).unwrap();
        answers(&mut harness, &sent, 410);
        ids.push(sent.id);
    }
    let mut seen = Vec::new();
    let mut after = None;
    loop {
        let (status, list) =
            harness.jobs(&operator, JobsWhat::List { of: Filter { dead: true, ..Filter::default() }, limit: 1, after });
        assert_eq!(status, 200);
        seen.extend(list["items"].as_array().unwrap().iter().map(|item| item["id"].as_str().unwrap().to_owned()));
        after = list["next"].as_str().map(str::to_owned);
        if after.is_none() {
            break;
        }
    }
    seen.sort_by_key(|id| ids.iter().position(|known| known == id));
    assert_eq!(seen, ids, "each once");
}

#[test]
fn alerts_go_to_the_policys_address_unsigned_without_a_secret_and_dead_letters_raise_one() {
    let alerts = json!({"callback": "https://alerts.example.com/in", "dead_letters": 1});
    let (mut harness, app, operator) = setup(&json!({"callbacks": null, "alerts": alerts}));
    let keep = harness.keep(&app, "free", "GET");
    let job = harness.kept(keep);
    let run = one_run(&mut harness);
    harness.told(Ask::RunReport(Box::new(ran(&run, 400))));
    let sent = delivery(&mut harness).unwrap();
    assert_eq!((sent.url.as_str(), &sent.signature), ("https://alerts.example.com/in", &None));
    let said: Value = serde_json::from_str(&sent.body).unwrap();
    assert_eq!((&said["type"], &said["data"]["alert"]["kind"]), (&json!("alert.raised"), &json!("dead_letters")));
    assert_eq!(harness.status()["alerts"][0]["kind"], "dead_letters");
    answers(&mut harness, &sent, 200);
    harness.reopen();
    assert!(delivery(&mut harness).is_none(), "said once");
    assert_eq!(harness.jobs(&operator, JobsWhat::Delete(job, Deletable::DeadLetter)).0, 204);
    let sent = delivery(&mut harness).unwrap();
    assert!(sent.body.contains("alert.cleared"));
    assert_eq!(harness.status()["alerts"], json!([]));
    let mut policy = harness.admin(Admin::GetPolicy).1;
    policy["alerts"]["callback"] = json!("https://new.example.com/in");
    assert_eq!(harness.put(&policy).0, 200);
    answers(&mut harness, &sent, 500);
    harness.go_to(NOON + 5_500);
    assert_eq!(delivery(&mut harness).unwrap().url, "https://new.example.com/in", "to where alerts go now");
}

#[test]
fn a_tenant_that_is_removed_leaves_no_message() {
    let (mut harness, app, _) = setup(&json!({}));
    ends(&mut harness, &app, 200);
    harness.admin(Admin::Delete);
    assert!(delivery(&mut harness).is_none());
    assert!(
        !harness.memory.rows.keys().any(|(table, _)| [Table::Webhook as u8, Table::WebhookBody as u8].contains(table))
    );
}

#[test]
fn whatever_is_lost_repeated_or_killed_each_outcome_arrives_or_is_a_dead_letter() {
    for seed in 0..40 {
        let mut chance = fastrand::Rng::with_seed(seed);
        let (mut harness, app, operator) = setup(&json!({}));
        let (mut jobs, mut sent) = (Vec::new(), Vec::<Delivery>::new());
        // Which jobs were reported to the receiver, and how often.
        let mut told = std::collections::BTreeMap::<String, u32>::new();
        for step in 0..400 {
            // At last the receiver is well and nothing is lost.
            let calm = step > 300;
            match chance.u8(..8) {
                0 if !calm => jobs.push(ends_amid(&mut harness, &app, &mut sent)),
                1 | 2 => {
                    let later = harness.now + chance.i64(0..if calm { DAY } else { 60_000 });
                    harness.go_to(later);
                }
                3 if !calm => harness.reopen(),
                4 | 5 => sent.extend(delivery(&mut harness)),
                _ if sent.is_empty() => {}
                _ => {
                    let one = sent.swap_remove(chance.usize(..sent.len()));
                    let status = if calm { 200 } else { [0, 200, 302, 410, 500, 503][chance.usize(..6)] };
                    if status == 200 {
                        let said: Value = serde_json::from_str(&one.body).unwrap();
                        *told.entry(said["data"]["id"].as_str().unwrap().to_owned()).or_default() += 1;
                    }
                    match if calm { 9 } else { chance.u8(..10) } {
                        0 => {} // The report is lost.
                        1 => {
                            answers(&mut harness, &one, status);
                            answers(&mut harness, &one, status);
                        }
                        2 if status != 200 => harness.task_refused(Task::Deliver(Box::new(one))),
                        _ => answers(&mut harness, &one, status),
                    }
                }
            }
        }
        while counts(&mut harness).0 > 0 {
            sent.extend(delivery(&mut harness));
            while let Some(one) = sent.pop() {
                let said: Value = serde_json::from_str(&one.body).unwrap();
                *told.entry(said["data"]["id"].as_str().unwrap().to_owned()).or_default() += 1;
                answers(&mut harness, &one, 200);
            }
            if counts(&mut harness).0 == 0 {
                break;
            }
            let next = harness.tenant.next_alarm().unwrap();
            let later = next.max(harness.now).min(harness.now + DAY);
            harness.go_to(later);
        }
        let dead: Vec<String> =
            dead(&mut harness, &operator).iter().map(|letter| letter["job"].as_str().unwrap().to_owned()).collect();
        assert!(!jobs.is_empty());
        for job in jobs {
            let times = told.get(&job).copied().unwrap_or(0);
            assert!(times > 0 || dead.contains(&job), "seed {seed}: job {job} was never told of");
            assert!(times <= 12, "seed {seed}: {times} times");
        }
        let rows = |table: Table| harness.memory.rows.keys().filter(|(held, _)| *held == table as u8).count();
        assert_eq!((rows(Table::Webhook), rows(Table::WebhookBody)), (dead.len(), dead.len()), "seed {seed}");
    }
}

/// A job with a callback ends, while messages are on their way.
fn ends_amid(harness: &mut Harness, app: &Claims, sent: &mut Vec<Delivery>) -> String {
    let mut keep = harness.keep(app, "free", "GET");
    keep.request.callback = Some(URL.to_owned());
    let id = harness.kept(keep);
    loop {
        match harness.next_task() {
            Some(Task::Run(run)) => {
                harness.told(Ask::RunReport(Box::new(ran(&run, 200))));
                return id;
            }
            Some(Task::Deliver(delivery)) => sent.push(*delivery),
            other => panic!("{other:?}"),
        }
    }
}
