//! Accounts: register, log in, change the password, leave; and what of it a stranger can see.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Barrier};
use std::thread;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use maitred_booking::accounts::delays::ACCOUNT_FREE;
use maitred_booking::tenants::Role;
use serde_json::{Value, json};

use crate::client::{Answer, Request};
use crate::clock::Ahead;
use crate::server::Server;

const USERS: &str = "/v1/tenants/default/users";

fn input(email: &str) -> Value {
    json!({ "email": email, "password": "correct horse" })
}

fn register(server: &Server, email: &str) -> Value {
    server.post(USERS).json(&input(email)).send().ok(201)
}

fn token(user: &Value) -> String {
    user["token"].as_str().expect("a token").to_owned()
}

fn log_in(server: &Server, email: &str, password: &str) -> Answer {
    let body = json!({ "email": email, "password": password });
    server.post(format!("{USERS}/authenticate")).json(&body).send()
}

fn me(server: &Server, token: &str) -> Answer {
    server.anonymous("GET", format!("{USERS}/me")).key(token).send()
}

fn change_password(server: &Server, token: &str, password: &str, new_password: &str) -> Answer {
    let body = json!({ "password": password, "new_password": new_password });
    server.anonymous("POST", format!("{USERS}/me/password")).key(token).json(&body).send()
}

#[test]
fn an_account_is_made_shown_changed_and_closed() {
    let server = Server::open();
    let answer = server.post(USERS).json(&input("Some.One+x@GMail.com")).send();
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let user = answer.ok(201);
    let id = user["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        (&user["email"], &user["version"], &user["closed"]),
        (&json!("someone@gmail.com"), &json!(1), &json!(false))
    );
    assert!(
        user["token_expires_at"].as_str().expect("an instant") > user["created_at"].as_str().expect("one")
    );

    let shown = me(&server, &token(&user)).ok(200);
    assert_eq!((&shown["id"], &shown["email"], shown.get("token")), (&user["id"], &user["email"], None));
    let login = log_in(&server, "someone@gmail.com", "correct horse");
    assert_eq!(login.header("cache-control"), Some("no-store"));
    let login = login.ok(200);
    assert_eq!(login["id"], user["id"]);
    me(&server, &token(&login)).ok(200);

    let changed = change_password(&server, &token(&login), "correct horse", "battery staple").ok(200);
    assert_eq!(changed["version"], 2);
    for old in [token(&user), token(&login)] {
        assert_eq!(me(&server, &old).refusal(), (401, "credentials-invalid".to_owned()));
    }
    me(&server, &token(&changed)).ok(200);
    assert_eq!(log_in(&server, "someone@gmail.com", "correct horse").refusal().0, 401);
    log_in(&server, "someone@gmail.com", "battery staple").ok(200);

    let closed = server.anonymous("DELETE", format!("{USERS}/me")).key(&token(&changed)).send().ok(200);
    assert_eq!(
        (&closed["closed"], &closed["email"], &closed["version"]),
        (&json!(true), &json!(null), &json!(3))
    );
    assert_eq!(me(&server, &token(&changed)).refusal().0, 401);
    assert_eq!(log_in(&server, "someone@gmail.com", "battery staple").refusal().0, 401);
    let past = server.get(format!("{USERS}/{id}")).send().ok(200);
    assert_eq!((&past["closed"], &past["email"]), (&json!(true), &json!(null)));
    let again = register(&server, "someone@gmail.com");
    assert_ne!(again["id"], user["id"], "the email is free");
}

#[test]
fn an_account_needs_an_email_and_a_password() {
    let server = Server::open();
    register(&server, "taken@example.com");
    let with = |email: &str, password: &str| json!({ "email": email, "password": password });
    for (body, status, code, pointer) in [
        (with("taken@example.com", "12345678"), 409, "email-taken", ""),
        (with("TAKEN@example.com", "12345678"), 409, "email-taken", ""),
        (with("nobody", "12345678"), 422, "invalid-email", "/email"),
        (with("a@example.com", "1234567"), 422, "invalid-password", "/password"),
        (with("a@example.com", &"x".repeat(1_025)), 422, "invalid-password", "/password"),
        (json!({"email": "a@example.com"}), 400, "body-invalid", ""),
        (json!({"email": "a@example.com", "password": 12345678}), 400, "body-invalid", "/password"),
        (
            json!({"email": "a@example.com", "password": "12345678", "role": "admin"}),
            400,
            "body-invalid",
            "/role",
        ),
    ] {
        let before = server.position();
        let answer = server.post(USERS).json(&body).send();
        assert_eq!(answer.refusal(), (status, code.to_owned()), "{body}");
        if !pointer.is_empty() {
            assert_eq!(answer.problem()["errors"][0]["pointer"], pointer, "{body}");
        }
        assert!(!answer.text().contains("12345678"), "an answer repeats no password: {}", answer.text());
        assert_eq!(server.position(), before, "{body}");
    }
}

#[test]
fn a_login_tells_nothing_of_who_has_an_account() {
    let server = Server::open();
    register(&server, "there@example.com");
    let position = server.position();
    let told = |email: &str, password: &str| {
        let mut problem = log_in(&server, email, password).problem();
        problem["instance"].take();
        problem
    };
    let wrong = told("there@example.com", "wrong horse");
    assert_eq!((&wrong["status"], &wrong["code"]), (&json!(401), &json!("credentials-invalid")));
    for (email, password) in [
        ("nobody@example.com", "correct horse"),
        ("nobody", "correct horse"),
        ("there@example.com", ""),
        ("there@example.com", &*"x".repeat(2_000)),
    ] {
        assert_eq!(told(email, password), wrong, "{email}");
    }
    assert_eq!(server.position(), position, "logging in writes nothing");
}

#[test]
fn a_burst_of_guesses_gets_no_more_attempts_than_a_sequence() {
    const AT_ONCE: usize = 30;
    let server = Server::open();
    for email in ["a@example.com", "b@example.com"] {
        register(&server, email);
    }
    let at_once = |count: usize, email: &str, password: &str| {
        let barrier = Barrier::new(count);
        let guess = || {
            barrier.wait();
            let answer = log_in(&server, email, password);
            (answer.status, answer.header("retry-after").map(str::to_owned))
        };
        thread::scope(|scope| {
            let guesses: Vec<_> = (0..count).map(|_| scope.spawn(guess)).collect();
            let mut answers: Vec<_> =
                guesses.into_iter().map(|guess| guess.join().expect("an answer")).collect();
            answers.sort();
            answers
        })
    };
    let free = ACCOUNT_FREE as usize;
    // Who knows the password may log in as often as they like: that is no failure.
    for _ in 0..3 {
        assert_eq!(at_once(free, "a@example.com", "correct horse"), vec![(200, None); free]);
    }
    let guessed = at_once(AT_ONCE, "a@example.com", "wrong horse");
    assert_eq!(guessed[..free], vec![(401, None); free]);
    assert_eq!(guessed[free..], vec![(429, Some("1".to_owned())); AT_ONCE - free]);
    // Nobody else waits for it, nor does a stranger learn by it who has an account.
    log_in(&server, "b@example.com", "correct horse").ok(200);
    assert_eq!(at_once(AT_ONCE, "nobody@example.com", "wrong horse"), guessed);
}

#[test]
fn a_password_is_changed_by_who_knows_it() {
    let server = Server::open();
    let user = register(&server, "a@example.com");
    let token = token(&user);
    for (password, new_password, expected) in [
        ("wrong horse", "battery staple", (403, "wrong-password")),
        ("correct horse", "short", (422, "invalid-password")),
        ("", "battery staple", (403, "wrong-password")),
    ] {
        let refusal = change_password(&server, &token, password, new_password).refusal();
        assert_eq!(refusal, (expected.0, expected.1.to_owned()), "{password} {new_password}");
    }
    me(&server, &token).ok(200);
    change_password(&server, &token, "correct horse", "battery staple").ok(200);
    let again = change_password(&server, &token, "battery staple", "correct horse");
    assert_eq!(again.refusal().0, 401, "the token ended with the password");
}

#[test]
fn a_repeated_request_is_answered_again_without_the_token() {
    let server = Server::open();
    let send = |body: &Value| server.post(USERS).header("Idempotency-Key", "k1").json(body).send();
    let first = send(&input("a@example.com")).ok(201);
    let again = send(&input("a@example.com"));
    assert_eq!(again.header("idempotent-replayed"), Some("true"));
    let again = again.ok(201);
    assert_eq!((&again["id"], &again["email"], again.get("token")), (&first["id"], &first["email"], None));
    // Another body under the key is another stranger's.
    assert_eq!(send(&input("b@example.com")).ok(201)["email"], "b@example.com");

    let change = || {
        let body = json!({"password": "correct horse", "new_password": "battery staple"});
        let request = server.anonymous("POST", format!("{USERS}/me/password")).key(&token(&first));
        request.header("Idempotency-Key", "k2").json(&body).send()
    };
    change().ok(200);
    assert_eq!(change().refusal().0, 401, "who repeats it has a token of the password before");
    // The account is closed: what is remembered of its making shows nothing of it.
    let login = log_in(&server, "a@example.com", "battery staple").ok(200);
    server.anonymous("DELETE", format!("{USERS}/me")).key(&token(&login)).send().ok(200);
    assert_eq!(send(&input("a@example.com")).ok(201)["email"], json!(null));
}

#[test]
fn a_users_own_routes_need_a_users_token() {
    let server = Server::open();
    server.tenant("other");
    let user = register(&server, "a@example.com");
    let there = server.post("/v1/tenants/other/users").json(&input("a@example.com")).send().ok(201);
    let requests: [fn(&Server) -> Request; 3] = [
        |server| server.anonymous("GET", format!("{USERS}/me")),
        |server| server.anonymous("DELETE", format!("{USERS}/me")),
        |server| server.anonymous("POST", format!("{USERS}/me/password")).json(&json!({})),
    ];
    let tampered = token(&user).replacen('.', ".A", 1);
    for request in requests {
        let before = server.position();
        for (what, request, expected) in [
            ("no token", request(&server), (401, "unauthenticated")),
            ("garbage", request(&server).key("garbage"), (401, "credentials-invalid")),
            ("tampered with", request(&server).key(&tampered), (401, "credentials-invalid")),
            ("of another tenant", request(&server).key(&token(&there)), (403, "forbidden")),
            ("an API key", request(&server).key(&format!("mk_{}", "A".repeat(43))), (403, "forbidden")),
        ] {
            assert_eq!(request.send().refusal(), (expected.0, expected.1.to_owned()), "{what}");
        }
        assert_eq!(server.position(), before);
    }
}

#[test]
fn nobody_sees_another_users_account() {
    let server = Server::with_keys();
    let users = "/v1/tenants/salon/users";
    server.patch("/v1/tenants/salon", &json!({"public": true})).send().ok(200);
    server.tenant("other");
    server.patch("/v1/tenants/other", &json!({"public": true})).send().ok(200);
    let register = |tenant: &str, email: &str| {
        let request = server.anonymous("POST", format!("/v1/tenants/{tenant}/users"));
        request.json(&input(email)).send().ok(201)
    };
    let (a, b, c) = (
        register("salon", "a@example.com"),
        register("salon", "b@example.com"),
        register("other", "c@example.com"),
    );
    let id = |user: &Value| user["id"].as_str().expect("an id").to_owned();
    let ask = |path: String, key: &str| server.anonymous("GET", path).key(key).send();

    assert_eq!(ask(format!("{users}/me"), &token(&a)).ok(200)["email"], "a@example.com");
    for other in [&b, &c, &a] {
        let answer = ask(format!("{users}/{}", id(other)), &token(&a));
        assert_eq!(answer.refusal(), (403, "forbidden".to_owned()));
    }
    assert_eq!(ask(format!("{users}/me"), &token(&c)).refusal(), (403, "forbidden".to_owned()));
    for path in ["", "/api-keys", "/appointments", "/changes", "/export"] {
        let answer = ask(format!("/v1/tenants/salon{path}"), &token(&a));
        assert_eq!(answer.refusal(), (403, "forbidden".to_owned()), "{path}");
    }
    assert_eq!(ask("/v1/tenants".to_owned(), &token(&a)).refusal().0, 403);

    let staff = server.tenant_key("salon", Role::Staff);
    assert_eq!(ask(format!("{users}/{}", id(&b)), &staff).ok(200)["email"], "b@example.com");
    let absent = ask(format!("{users}/{}", id(&c)), &staff);
    assert_eq!(absent.refusal(), (404, "user-not-found".to_owned()), "of another tenant");
    let customer = server.tenant_key("salon", Role::Customer);
    assert_eq!(ask(format!("{users}/me"), &customer).refusal(), (403, "forbidden".to_owned()));
}

#[test]
fn nobody_touches_another_users_order() {
    let server = Server::with_keys();
    let salon = "/v1/tenants/salon";
    server.patch(salon, &json!({"public": true})).send().ok(200);
    let make = |path: &str, body: Value| server.post(format!("{salon}/{path}")).json(&body).send().ok(201);
    let product = make(
        "products",
        json!({"name": "Headphones", "price": {"amount": 1, "currency": "EUR"}, "inventory": 5}),
    );
    let sale = make(
        "sales",
        json!({
            "product_id": product["id"], "quantity": 5, "hold_seconds": 600,
            "starts_at": "2020-01-01T00:00:00Z", "ends_at": "3020-01-01T00:00:00Z",
        }),
    );
    let [a, b] = ["a@example.com", "b@example.com"].map(|email| {
        token(&server.anonymous("POST", format!("{salon}/users")).json(&input(email)).send().ok(201))
    });
    let ask =
        |token: &str, method, rest: &str| server.anonymous(method, format!("{salon}/{rest}")).key(token);
    let orders = format!("sales/{}/orders", sale["id"].as_str().expect("an id"));
    let [own, other] = [&a, &b].map(|token| ask(token, "POST", &orders).json(&json!({})).send().ok(201));
    let id = |order: &Value| order["id"].as_str().expect("an id").to_owned();

    for (method, what, code) in
        [("GET", "", "not-found"), ("GET", "/versions", "not-found"), ("POST", "/cancel", "order-not-found")]
    {
        let theirs = ask(&a, method, &format!("orders/{}{what}", id(&other))).send();
        assert_eq!(theirs.refusal(), (404, code.to_owned()), "{method} {what}");
        ask(&a, method, &format!("orders/{}{what}", id(&own))).send().ok(200);
    }
    let listed = ask(&a, "GET", "orders").send().ok(200);
    let listed: Vec<_> = listed["items"].as_array().expect("items").iter().map(&id).collect();
    assert_eq!(listed, [id(&own)]);
    let of_other = format!("orders?buyer_id={}", other["buyer_id"].as_str().expect("an id"));
    assert_eq!(ask(&a, "GET", &of_other).send().refusal(), (403, "forbidden".to_owned()));
    let for_other = ask(&a, "POST", &orders).json(&json!({"buyer_id": other["buyer_id"]}));
    assert_eq!(for_other.send().refusal(), (403, "forbidden".to_owned()));
}

#[test]
fn a_key_of_two_users_is_two_keys() {
    let server = Server::open();
    let here = "/v1/tenants/default";
    let make = |path: &str, body: Value| server.post(format!("{here}/{path}")).json(&body).send().ok(201);
    let price = json!({"amount": 1, "currency": "EUR"});
    let product = make("products", json!({"name": "Headphones", "price": price, "inventory": 5}));
    let window = ("2020-01-01T00:00:00Z", "3020-01-01T00:00:00Z");
    let sale = make(
        "sales",
        json!({"product_id": product["id"], "quantity": 5, "starts_at": window.0, "ends_at": window.1}),
    );
    let orders = format!("{here}/sales/{}/orders", sale["id"].as_str().expect("an id"));
    let users = ["a@example.com", "b@example.com"].map(|email| register(&server, email));
    let buy = |user: &Value| {
        let request = server.anonymous("POST", &*orders).key(&token(user)).header("Idempotency-Key", "k1");
        let answer = request.json(&json!({})).send();
        let replayed = answer.header("idempotent-replayed").is_some();
        (answer.ok(201), replayed)
    };
    let placed = [0, 1].map(|of| buy(&users[of]));
    for (of, (order, replayed)) in placed.iter().enumerate() {
        assert_eq!((&order["buyer_id"], replayed), (&users[of]["id"], &false), "each has an own order");
        let again = buy(&users[of]);
        assert_eq!((&again.0["id"], again.1), (&order["id"], true), "and is told of it again");
    }
    assert_ne!(placed[0].0["id"], placed[1].0["id"]);
}

#[test]
fn no_token_is_believed_but_one_of_ours_that_is_valid() {
    let clock = Arc::new(Ahead::default());
    let server = Server::with_keys_by(clock.clone());
    server.patch("/v1/tenants/salon", &json!({"public": true})).send().ok(200);
    let user =
        server.anonymous("POST", "/v1/tenants/salon/users").json(&input("a@example.com")).send().ok(201);
    let token = token(&user);
    let ask = |token: &str| {
        let answer = server.anonymous("GET", "/v1/tenants/salon/users/me").key(token).send();
        (answer.status, answer.text().contains("a@example.com"))
    };
    assert_eq!(ask(&token), (200, true));

    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!("{token}") };
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(claims).expect("base64")).expect("text");
    let another_email = URL_SAFE_NO_PAD.encode(text.replace("a@example.com", "b@example.com"));
    let later = URL_SAFE_NO_PAD.encode(text.replace("\"exp\":1", "\"exp\":2"));
    assert!(another_email != claims && later != claims, "{text}");
    let of = |header: &str| URL_SAFE_NO_PAD.encode(header);
    let (none, other) = (of(r#"{"alg":"none","typ":"JWT"}"#), of(r#"{"alg":"HS512","typ":"JWT"}"#));
    let mut turned = signature.to_owned();
    turned.replace_range(..1, if signature.starts_with('A') { "B" } else { "A" });
    for bad in [
        "garbage".to_owned(),
        "a.b.c".to_owned(),
        format!("{header}.{claims}."),
        format!("{header}.{claims}.{turned}"),
        format!("{header}.{another_email}.{signature}"),
        format!("{header}.{later}.{signature}"),
        format!("{none}.{claims}."),
        format!("{none}.{claims}.{signature}"),
        format!("{other}.{claims}.{signature}"),
    ] {
        assert_eq!(ask(&bad), (401, false), "{bad}");
    }
    let day = 24 * 3_600;
    clock.seconds.store(day - 10, Ordering::Relaxed);
    assert_eq!(ask(&token), (200, true), "its last seconds");
    clock.seconds.store(day + 1, Ordering::Relaxed);
    assert_eq!(ask(&token), (401, false), "it is over");
}

#[test]
fn strangers_register_where_the_tenant_lets_them() {
    let server = Server::with_keys();
    let users = "/v1/tenants/salon/users";
    for (method, path) in [("POST", users.to_owned()), ("POST", format!("{users}/authenticate"))] {
        let answer = server.anonymous(method, path.clone()).json(&input("a@example.com")).send();
        assert_eq!(answer.refusal(), (401, "unauthenticated".to_owned()), "{path}");
    }
    server.patch("/v1/tenants/salon", &json!({"public": true})).send().ok(200);
    let user = server.anonymous("POST", users).json(&input("a@example.com")).send().ok(201);
    server.delete("/v1/tenants/salon").send().ok(200);
    let ask = server.anonymous("GET", format!("{users}/me")).key(&token(&user)).send();
    assert_eq!(ask.refusal(), (401, "credentials-invalid".to_owned()), "the tenant is closed");
}

#[test]
fn the_feed_tells_of_accounts_and_shows_nothing_of_a_closed_one() {
    let server = Server::open();
    let user = register(&server, "somebody@example.com");
    let feed = || server.get("/v1/tenants/default/changes").send().ok(200);
    let item = &feed()["items"][0];
    assert_eq!(
        (&item["kind"], &item["type"], &item["record_id"]),
        (&json!("user"), &json!("created"), &user["id"])
    );
    assert_eq!(item["data"]["email"], "somebody@example.com");
    server.anonymous("DELETE", format!("{USERS}/me")).key(&token(&user)).send().ok(200);
    let text = feed().to_string();
    assert!(text.contains("deleted") && !text.contains("somebody") && !text.contains("argon2"), "{text}");
}

#[test]
fn an_account_is_read_by_its_version_and_as_it_was() {
    let server = Server::open();
    let user = register(&server, "a@example.com");
    let path = format!("{USERS}/{}", user["id"].as_str().expect("an id"));
    let before = server.position();
    let first = server.get(path.clone()).send();
    assert_eq!(first.header("etag"), Some("\"v1\""));
    change_password(&server, &token(&user), "correct horse", "battery staple").ok(200);
    assert_eq!(server.get(path.clone()).send().ok(200)["version"], 2);
    assert_eq!(server.get(format!("{path}?as_of={before}")).send().ok(200)["version"], 1);
    assert_eq!(server.get(path).header("If-None-Match", "\"v2\"").send().status, 304);
    let unknown = server.get(format!("{USERS}/01890000-0000-7000-8000-000000000000")).send();
    assert_eq!(unknown.refusal(), (404, "user-not-found".to_owned()));
}
