//! What an administrator sees first: numbers, and charts of what is to come and what was.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::response::Response;
use axum::routing::get;
use patrol_policy::types::Timestamp;

use super::super::Web;
use super::super::chart::{Bar, Chart, Shape};
use super::super::person::Admin;
use super::super::render::{Frame, page};
use super::super::strings::text;
use super::super::zone::Zone;
use super::begin;
use crate::service::Statistics;

pub(super) fn routes() -> Router<Web> {
    Router::new().route("/ui/admin", get(overview))
}

#[derive(Template)]
#[template(path = "admin/overview.html")]
struct OverviewPage {
    frame: Frame,
    counted: Option<Counted>,
}

/// What was counted, and when.
struct Counted {
    at: Timestamp,
    live: u64,
    never_used: u64,
    quiet: u64,
    used: u64,
    is_partial: bool,
    charts: Vec<Chart>,
}

async fn overview(State(web): State<Web>, admin: Admin) -> Response {
    let tenant = admin.tenant();
    let (mut last, due) = web.patrol().statistics(tenant);
    if due {
        let counting = web.clone();
        let count = async move { begin(&counting, move |patrol| patrol.count_statistics(tenant)).await };
        if last.is_none() {
            // The first time there is nothing else to show.
            count.await;
            last = web.patrol().statistics(tenant).0;
        } else {
            tokio::spawn(count);
        }
    }
    let counted = last.map(|last| {
        let all = &last.value;
        Counted {
            at: last.at,
            live: all.live,
            never_used: all.never_used,
            quiet: all.quiet,
            used: all.used,
            is_partial: all.is_partial,
            charts: charts(all, &admin.0.zone),
        }
    });
    page(&OverviewPage {
        frame: admin.0.frame("overview-title", "overview"),
        counted,
    })
}

/// A chart with the texts of this name.
fn chart(id: &'static str, shape: Shape, texts: [&str; 3], series: Vec<String>, bars: Vec<Bar>) -> Chart {
    let [title, description, bars_are] = texts.map(text);
    Chart {
        id,
        shape,
        title,
        description,
        bars_are,
        series,
        bars,
        numbers: text("chart-numbers"),
    }
}

fn charts(all: &Statistics, zone: &Zone) -> Vec<Chart> {
    let ending = all.ending.iter().map(|week| Bar {
        label: zone.short_date(week.from),
        values: vec![week.expire, week.idle],
    });
    let use_of = |key: &str, count: u64| Bar {
        label: text(key),
        values: vec![count],
    };
    let utc = Zone::utc();
    let days = all.sign_ins.iter().map(|day| Bar {
        label: utc.short_date(day.day),
        values: vec![day.succeeded, day.failed],
    });
    let reasons = all.refusals.iter().map(|(reason, count)| Bar {
        label: reason.clone().unwrap_or_else(|| text("chart-reasons-other")),
        values: vec![*count],
    });
    let mut charts = vec![
        chart(
            "ending",
            Shape::Columns,
            ["chart-ending-title", "chart-ending-text", "chart-ending-bars"],
            vec![text("chart-ending-expire"), text("chart-ending-idle")],
            ending.collect(),
        ),
        chart(
            "idle",
            Shape::Rows,
            ["chart-idle-title", "chart-idle-text", "chart-idle-bars"],
            vec![text("overview-live")],
            vec![
                use_of("overview-used", all.used),
                use_of("overview-quiet", all.quiet),
                use_of("overview-never-used", all.never_used),
            ],
        ),
        chart(
            "signins",
            Shape::Columns,
            ["chart-signins-title", "chart-signins-text", "chart-signins-bars"],
            vec![text("chart-signins-ok"), text("chart-signins-failed")],
            days.collect(),
        ),
    ];
    if !all.refusals.is_empty() {
        charts.push(chart(
            "reasons",
            Shape::Rows,
            ["chart-reasons-title", "chart-reasons-text", "chart-reasons-bars"],
            vec![text("chart-reasons-count")],
            reasons.collect(),
        ));
    }
    charts
}
