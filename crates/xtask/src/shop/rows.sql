insert into sales.customers (id, name, email, city, profile, created_at)
select g, pg_temp.first_name(g) || ' ' || pg_temp.last_name(g),
  lower(pg_temp.first_name(g)) || '.' || lower(pg_temp.last_name(g)) || g || '@example.org',
  pg_temp.city(g),
  jsonb_build_object('language', ('{de,en,fr,es,it,pl}'::text[])[1 + pg_temp.pick(g, 20, 6)],
    'newsletter', pg_temp.pick(g, 21, 3) = 0, 'points', pg_temp.pick(g, 22, 5000),
    'token', md5(g::text)),
  timestamptz '2023-01-01 00:00:00+00' + g * interval '97 seconds'
from generate_series(1, :customers) as g;

insert into sales.orders (id, customer_id, status, total, note, reference, placed_at)
select g, 1 + pg_temp.pick(g, 30, :customers),
  ('{new,paid,shipped,delivered,delivered,delivered,returned}'::sales.order_status[])[1 + pg_temp.pick(g, 31, 7)],
  (pg_temp.pick(g, 32, 500000) + 100) / 100.0,
  case when pg_temp.pick(g, 33, 3) = 0 then pg_temp.phrase(g) end,
  md5('order' || g)::uuid,
  timestamptz '2023-02-01 00:00:00+00' + g * interval '41 seconds'
from generate_series(1, :orders) as g;

insert into web.events (id, customer_id, kind, address, payload, at)
select g, case when pg_temp.pick(g, 40, 4) > 0 then 1 + pg_temp.pick(g, 41, :customers) end,
  ('{view,view,view,click,click,search,cart,checkout}'::text[])[1 + pg_temp.pick(g, 42, 8)],
  '10.0.0.0'::inet + pg_temp.pick(g, 43, 16777216),
  jsonb_build_object('path', '/' || pg_temp.word(g, 44) || '/' || pg_temp.pick(g, 45, 90000),
    'agent', ('{Firefox/141,Chrome/139,Safari/26,Edge/139,curl/8}'::text[])[1 + pg_temp.pick(g, 46, 5)],
    'milliseconds', pg_temp.pick(g, 47, 4000), 'session', left(md5('session' || g / 9), 16)),
  timestamptz '2025-01-01 00:00:00+00' + g * interval '3 seconds'
from generate_series(1, :events) as g;

insert into public.documents (id, title, tags, body)
select d, initcap(pg_temp.phrase(d * 11)), array[pg_temp.word(d, 50), pg_temp.word(d, 51)],
  string_agg(s.text, ' ' order by k)
from generate_series(1, :documents) as d
  cross join generate_series(1, 45) as k
  join sentence s on s.id = pg_temp.pick(d * 64 + k, 52, 16384)
group by d
order by d;
