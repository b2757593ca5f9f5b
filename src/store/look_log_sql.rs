//! The statements of the Log page.
//!
//! Each is put together from lanes, see [`super::look_log`].

/// What the rows of a lane are held against.
macro_rules! held {
    () => {
        "($12::timestamptz is null or occurred_at >= $12) and ($13::timestamptz is null or occurred_at < $13) and ($14::text[] is null or kind = any($14))
           and ($15::uuid is null or application_id = $15) and ($16::uuid is null or role_id = $16)
           and (not $17 or person_id = any($18) or actor_id = any($18) or role_id = any($19) or application_id = any($20) or request_id = any($21))
           and ($25::uuid is null or policy_version_id = $25)
           and ($22::uuid is null or person_id = $22 or actor_id = $22 or role_id = any($23) or application_id = any($24))
           and ($22::uuid is null or not starts_with(kind, 'hold.') or actor_id = $22)"
    };
}

/// One kind of lane. Comparing pairs keeps the planner on the lane's own index: no other has this order.
macro_rules! lane {
    ($keys:literal, $column:literal, $head:expr, $tail:expr, $order:literal) => {
        concat!(
            "select x.id from unnest(",
            $keys,
            ") k(v) cross join lateral (",
            $head,
            " from audit_event where ",
            $column,
            " is not null and (",
            $column,
            ", id) < (k.v, $8) and (",
            $column,
            ", id) > (k.v, $9) order by ",
            $column,
            $order,
            ", id",
            $order,
            $tail,
            ") x"
        )
    };
}

/// All lanes, put together by `union`.
macro_rules! lanes {
    ($union:literal, $head:expr, $tail:expr, $order:literal, $versions:literal) => {
        concat!(
            lane!("$1::uuid[]", "person_id", $head, $tail, $order),
            $union,
            lane!("$2::uuid[]", "actor_id", $head, $tail, $order),
            $union,
            lane!("$3::uuid[]", "role_id", $head, $tail, $order),
            $union,
            lane!("$4::uuid[]", "application_id", $head, $tail, $order),
            $union,
            lane!("$5::uuid[]", "request_id", $head, $tail, $order),
            $union,
            lane!("$6::text[]", "kind", $head, $tail, $order),
            $union,
            lane!($versions, "policy_version_id", $head, $tail, $order),
            $union,
            "select x.id from (",
            $head,
            " from audit_event where $7 and id < $8 and id > $9 order by id",
            $order,
            $tail,
            ") x"
        )
    };
}

/// A page: what `$found` gives, with names.
macro_rules! named {
    ($found:expr, $limit:literal, $order:literal) => {
        concat!(
            "with found as materialized (select id from (",
            $found,
            ") y order by id",
            $order,
            " limit ",
            $limit,
            ")
             select e.id, e.occurred_at, e.kind, e.actor_kind, e.actor_name, other.display_name as acting_for, t.name as token, e.channel, e.request_id,
               p.display_name as person, a.name as application, r.name as role, coalesce(q.emergency_reason is not null, false) as emergency, e.data
             from found join audit_event e on e.id = found.id left join person p on p.id = e.person_id left join person other on other.id = e.acting_for
             left join api_token t on t.id = e.token_id left join application a on a.id = e.application_id left join role r on r.id = e.role_id left join request q on q.id = e.request_id order by e.id",
            $order
        )
    };
}

/// A page of what the lanes give, merged.
macro_rules! page {
    ($order:literal) => {
        named!(
            lanes!(
                " union ",
                "select id from (select id, occurred_at, kind, person_id, actor_id, role_id, application_id, request_id, policy_version_id",
                concat!(" limit $10) e where ", held!(), " limit $11"),
                $order,
                "$26::uuid[]"
            ),
            "$11",
            $order
        )
    };
}

/// A page of the whole log: the same without what is not needed, as planning the lanes takes longer than reading them.
macro_rules! whole {
    ($order:literal) => {
        named!(concat!("select id from audit_event where id < $1 and id > $2 order by id", $order, " limit $3"), "$3", $order)
    };
}

/// Where the lanes were cut off: the nearest row at which one of them stopped reading.
macro_rules! edge {
    ($nearest:literal, $order:literal) => {
        concat!("select ", $nearest, "(id) from (", lanes!(" union all ", "select id", " offset $10 - 1 limit 1", $order, "$11::uuid[]"), ") y")
    };
}

/// The page of older rows: $1 to $7 the lanes, $8 and $9 the ids between which to look, $10 rows to read in each lane, $11 rows to
/// return, $12 to $25 what they are held against, $26 the lanes of policy versions.
pub const OLDER: &str = page!(" desc");
/// The page of newer rows.
pub const NEWER: &str = page!(" asc");
/// The page of older rows of the whole log, between the ids $1 and $2, at most $3.
pub const WHOLE_OLDER: &str = whole!(" desc");
/// The page of newer rows of the whole log.
pub const WHOLE_NEWER: &str = whole!(" asc");
/// Where the lanes of a page of older rows were cut off: $1 to $10, and $11 the lanes of policy versions.
pub const OLDER_EDGE: &str = edge!("max", " desc");
/// Where the lanes of a page of newer rows were cut off.
pub const NEWER_EDGE: &str = edge!("min", " asc");
/// How many rows the lanes hold, as far as $10; $11 the lanes of policy versions.
pub const COUNT: &str =
    concat!("select count(*) from (select id from (", lanes!(" union all ", "select id", " limit $10", " desc", "$11::uuid[]"), ") y limit $10) z");
