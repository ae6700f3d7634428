//! Random feeds of two providers, against a model that keeps lists and looks at all of them.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// What the zones of a plan cost, by their ids.
type Prices = BTreeMap<String, Option<i64>>;

/// What the model keeps of an event.
#[derive(Debug, Clone, Default)]
struct Kept {
    title: String,
    ever_online: bool,
    plans: BTreeMap<String, (i64, i64, Prices)>,
    vanished: bool,
}

type Model = BTreeMap<(String, String), Kept>;

fn feed() -> impl Strategy<Value = Vec<FeedEvent>> {
    let zone = (0..3_u8, proptest::option::of(-5..40_i64));
    let plan = (0..4_u8, 0..40_i64, -2..12_i64, proptest::collection::vec(zone, 0..3));
    let title = prop_oneof![Just("Ágora"), Just("agora 2"), Just("Fête"), Just("")];
    let mode =
        prop_oneof![3 => Just(Some(SellMode::Online)), 1 => Just(Some(SellMode::Offline)), 1 => Just(None)];
    let event = (0..8_u8, title, mode, proptest::collection::vec(plan, 0..4));
    proptest::collection::vec(event, 0..8).prop_map(|events| {
        let mut feed: BTreeMap<u8, FeedEvent> = BTreeMap::new();
        for (id, title, sell_mode, plans) in events {
            let mut stated: BTreeMap<u8, FeedPlan> = BTreeMap::new();
            for (id, start, length, zones) in plans {
                let zones: BTreeMap<u8, FeedZone> =
                    zones.into_iter().map(|(id, price)| (id, super::zone(&id.to_string(), price))).collect();
                let plan =
                    super::plan(&id.to_string(), (start, start + length), zones.into_values().collect());
                stated.insert(id, plan);
            }
            let event = super::event(&id.to_string(), title, stated.into_values().collect());
            feed.insert(id, digested(FeedEvent { sell_mode, ..event }));
        }
        feed.into_values().collect()
    })
}

fn state_in(model: &mut Model, provider: &str, feed: &[FeedEvent]) {
    for ((_, id), kept) in model.iter_mut().filter(|((of, _), _)| of == provider) {
        kept.vanished = feed.iter().all(|event| event.external_id != *id);
    }
    for event in feed {
        let kept = model.entry((provider.to_owned(), event.external_id.clone())).or_default();
        kept.title.clone_from(&event.title);
        kept.ever_online |= event.sell_mode == Some(SellMode::Online);
        kept.vanished = false;
        for plan in &event.plans {
            let hours = |at: Timestamp| at.as_millis() / 3_600_000;
            let known = kept.plans.entry(plan.id.clone()).or_default();
            (known.0, known.1) = (hours(plan.starts_at), hours(plan.ends_at));
            known.2.extend(plan.zones.iter().map(|zone| (zone.id.clone(), zone.price)));
        }
    }
}

#[derive(Debug, Clone)]
struct Asked {
    range: (i64, i64),
    matching: Match,
    word: Option<&'static str>,
    prices: (Option<i64>, Option<i64>),
    provider: Option<&'static str>,
    limit: usize,
}

fn asked() -> impl Strategy<Value = Asked> {
    let matching = prop_oneof![Just(Match::Start), Just(Match::Overlap), Just(Match::Contained)];
    let word = proptest::option::of(prop_oneof![Just("AGORA"), Just("fete"), Just("2")]);
    let price = || proptest::option::of(-5..40_i64);
    let provider = proptest::option::of(prop_oneof![Just("arena"), Just("hall")]);
    ((0..45_i64, 0..30_i64), matching, word, (price(), price()), provider, 1..5_usize).prop_map(
        |((from, length), matching, word, prices, provider, limit)| Asked {
            range: (from, from + length),
            matching,
            word,
            prices,
            provider,
            limit,
        },
    )
}

/// What must be found: provider and id, first start and last end, smallest and greatest price, whether it is missing.
type Row = (String, String, String, String, Option<i64>, Option<i64>, bool);

fn expected(model: &Model, asked: &Asked) -> Vec<Row> {
    let (from, to) = asked.range;
    let wanted = |kept: &Kept| {
        kept.plans.values().any(|(start, end, _)| match asked.matching {
            Match::Start => from <= *start && *start <= to,
            Match::Contained => from <= *start && *start.max(end) <= to,
            Match::Overlap if end > start => *start < to && *end > from,
            Match::Overlap => from <= *start && *start < to,
        })
    };
    let mut rows = Vec::new();
    for ((provider, id), kept) in model {
        let prices = || kept.plans.values().flat_map(|(_, _, zones)| zones.values()).flatten().copied();
        let (min, max) = (prices().min(), prices().max());
        let in_prices = match asked.prices {
            (None, None) => true,
            (at_least, at_most) => min.zip(max).is_some_and(|(min, max)| {
                at_least.is_none_or(|wanted| wanted <= max) && at_most.is_none_or(|wanted| min <= wanted)
            }),
        };
        let has_word = asked.word.is_none_or(|word| fold::fold(&kept.title).contains(&fold::fold(word)));
        let of = asked.provider.is_none_or(|wanted| wanted == provider);
        if kept.ever_online && wanted(kept) && in_prices && has_word && of {
            let start = kept.plans.values().map(|plan| plan.0).min().expect("a plan matches");
            let end = kept.plans.values().map(|plan| plan.1).max().expect("a plan matches");
            let text = |hours| hour(hours).to_string();
            rows.push((provider.clone(), id.clone(), text(start), text(end), min, max, kept.vanished));
        }
    }
    rows
}

fn answered(world: &World<Rules>, asked: &Asked) -> Vec<Row> {
    let (min_price, max_price) = asked.prices;
    let search = Search {
        from: hour(asked.range.0),
        to: hour(asked.range.1),
        matching: asked.matching,
        words: asked.word.map(fold::words).unwrap_or_default(),
        min_price,
        max_price,
        provider: asked.provider.map(name::hash),
    };
    let text = |row: &serde_json::Value, name: &str| row[name].as_str().expect("a text").to_owned();
    let mut rows: Vec<Row> = found(world, &search, asked.limit)
        .iter()
        .map(|row| {
            (
                text(row, "provider"),
                text(row, "external_id"),
                text(row, "starts_at"),
                text(row, "ends_at"),
                row["min_price"]["amount"].as_i64(),
                row["max_price"]["amount"].as_i64(),
                row["vanished"].as_bool().expect("a boolean"),
            )
        })
        .collect();
    rows.sort();
    rows
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_feeds_say_the_search_answers_as_the_model(
        feeds in proptest::collection::vec((any::<bool>(), feed(), 1..4_usize), 1..6),
        questions in proptest::collection::vec(asked(), 1..12),
    ) {
        let mut world = world(&[create(provider()), create(CreateProvider { name: "hall".into(), ..provider() })]);
        let mut model = Model::new();
        let mut ids = BTreeMap::new();
        for (which, feed, group) in feeds {
            let provider = if which { "arena" } else { "hall" };
            sync(&mut world, provider, &feed, group);
            state_in(&mut model, provider, &feed);
            for question in &questions {
                prop_assert_eq!(answered(&world, question), expected(&model, question), "{:?}", question);
            }
            for event in &feed {
                let known = view::known(&world.view, TENANT, provider, &event.external_id).expect("it is known");
                let id = *ids.entry((provider, event.external_id.clone())).or_insert(known.id);
                prop_assert_eq!(id, known.id, "an id never changes");
            }
            for provider in ["arena", "hall"] {
                let state = view::state(&world.view, TENANT, provider);
                let of = |vanished| {
                    model.iter().filter(|((of, _), kept)| of == provider && kept.vanished == vanished).count() as u64
                };
                prop_assert_eq!((state.events, state.vanished), (of(false), of(true)));
            }
        }
        prop_assert_eq!(world.replay(), world.view);
    }
}
