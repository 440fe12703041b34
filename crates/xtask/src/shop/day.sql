-- One day: 2% of the rows of every table updated at random places, 2% appended.
update sales.customers set profile = profile || jsonb_build_object('points', pg_temp.pick(id, 60 + :day, 5000))
  where pg_temp.pick(id, 1000 + :day, 50) = 0;
update sales.orders set status = 'delivered', note = pg_temp.phrase(id + :day)
  where pg_temp.pick(id, 2000 + :day, 50) = 0;
update web.events set payload = payload || jsonb_build_object('milliseconds', pg_temp.pick(id, 70 + :day, 4000))
  where pg_temp.pick(id, 3000 + :day, 50) = 0;
update public.documents set version = version + 1, body = body || ' ' || pg_temp.phrase(id * :day) || '.'
  where pg_temp.pick(id, 4000 + :day, 50) = 0;

insert into sales.customers (name, email, city, profile, created_at)
select pg_temp.first_name(g) || ' ' || pg_temp.last_name(g),
  lower(pg_temp.first_name(g)) || '.' || lower(pg_temp.last_name(g)) || g || '@example.org',
  pg_temp.city(g),
  jsonb_build_object('language', 'en', 'newsletter', false, 'points', 0, 'token', md5(g::text)),
  timestamptz '2026-01-01 00:00:00+00' + :day * interval '1 day' + (g % 1000000) * interval '1 second'
from generate_series(:day * 10000000::bigint, :day * 10000000::bigint + :customers / 50 - 1) as g;

insert into sales.orders (customer_id, status, total, note, reference, placed_at)
select 1 + pg_temp.pick(g, 30, :customers), 'new', (pg_temp.pick(g, 32, 500000) + 100) / 100.0,
  case when pg_temp.pick(g, 33, 3) = 0 then pg_temp.phrase(g) end, md5('order' || g)::uuid,
  timestamptz '2026-01-01 00:00:00+00' + :day * interval '1 day' + (g % 1000000) * interval '1 second'
from generate_series(:day * 10000000::bigint, :day * 10000000::bigint + :orders / 50 - 1) as g;

insert into web.events (customer_id, kind, address, payload, at)
select 1 + pg_temp.pick(g, 41, :customers), 'view', '10.0.0.0'::inet + pg_temp.pick(g, 43, 16777216),
  jsonb_build_object('path', '/' || pg_temp.word(g, 44) || '/' || pg_temp.pick(g, 45, 90000),
    'agent', 'Firefox/142', 'milliseconds', pg_temp.pick(g, 47, 4000), 'session', left(md5('session' || g / 9), 16)),
  timestamptz '2026-01-01 00:00:00+00' + :day * interval '1 day' + (g % 1000000) * interval '1 second'
from generate_series(:day * 10000000::bigint, :day * 10000000::bigint + :events / 50 - 1) as g;

insert into public.documents (title, tags, body)
select initcap(pg_temp.phrase(g * 11)), array[pg_temp.word(g, 50), pg_temp.word(g, 51)],
  string_agg(initcap(pg_temp.phrase(g * 50 + k)) || ' ' || pg_temp.phrase(g * 90 + k) || ' ' || pg_temp.phrase(g * 70 + k) || '.', ' ' order by k)
from generate_series(:day * 10000000::bigint, :day * 10000000::bigint + :documents / 50 - 1) as g
  cross join generate_series(1, 45) as k
group by g order by g;

-- As autovacuum would have done by the evening.
vacuum analyze;
