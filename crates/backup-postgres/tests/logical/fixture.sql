-- One database with every kind of object that a logical backup must bring back.
-- Roles are made by the test, once per server: owner_one, "reader ""two""", auditor.
SELECT current_setting('server_version_num')::int >= 150000 AS v15,
       current_setting('server_version_num')::int >= 160000 AS v16,
       current_setting('server_version_num')::int >= 180000 AS v18 \gset

CREATE EXTENSION hstore;
CREATE SCHEMA ext;
CREATE EXTENSION pgcrypto SCHEMA ext;
CREATE EXTENSION btree_gist;
CREATE EXTENSION postgres_fdw;
CREATE EXTENSION citext;
COMMENT ON EXTENSION hstore IS 'key/value pairs, ours';

CREATE SCHEMA app AUTHORIZATION owner_one;
COMMENT ON SCHEMA app IS 'it''s ours';
CREATE SCHEMA "we.ird/ ""sch%ema""";

-- Types.
CREATE TYPE app.mood AS ENUM ('sad', 'ok', 'it''s "fine"');
CREATE TYPE app.pair AS (a integer, b text);
CREATE TYPE app.floats AS RANGE (subtype = float8);
CREATE DOMAIN app.positive AS integer DEFAULT 1 CHECK (VALUE > 0);
CREATE DOMAIN app.email AS public.citext CHECK (VALUE ~ '@');
CREATE COLLATION app.plain (provider = libc, locale = 'C');
CREATE FUNCTION app.add(a integer, b integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT a + b';
CREATE AGGREGATE app.total(integer) (SFUNC = app.add, STYPE = integer, INITCOND = '0');
CREATE OPERATOR app.@+ (FUNCTION = app.add, LEFTARG = integer, RIGHTARG = integer);
CREATE FUNCTION app.from_mood(app.mood) RETURNS integer LANGUAGE sql IMMUTABLE AS $$SELECT CASE $1 WHEN 'sad' THEN 0 ELSE 1 END$$;
CREATE CAST (app.mood AS integer) WITH FUNCTION app.from_mood(app.mood);
CREATE TEXT SEARCH DICTIONARY app.words (TEMPLATE = simple);
CREATE TEXT SEARCH CONFIGURATION app.search (COPY = simple);
CREATE PROCEDURE app.nothing() LANGUAGE plpgsql AS $$BEGIN NULL; END$$;

-- Every type of value, NULLs, empty strings, control characters.
CREATE TABLE app.everything (
  id bigint GENERATED ALWAYS AS IDENTITY (START WITH 5 INCREMENT BY 5) PRIMARY KEY,
  small smallint, real4 real, real8 double precision, num numeric(20, 5), yes boolean,
  txt text COLLATE "C", vc varchar(10), c char(5), bin bytea, d date, t time, tz timetz,
  ts timestamp, tstz timestamptz, span interval, u uuid, ip inet, net cidr, mac macaddr,
  js json, jsb jsonb, doc xml, arr integer[], arr2 text[][], hs public.hstore, ci public.citext,
  m app.mood, p app.pair, pos app.positive, fr app.floats, ir int4range, pt point, bx box,
  bits bit(3), vb varbit, tsv tsvector, tsq tsquery, lsn pg_lsn,
  twice integer GENERATED ALWAYS AS (small * 2) STORED
);
INSERT INTO app.everything (small, real4, real8, num, yes, txt, vc, c, bin, d, t, tz, ts, tstz, span,
  u, ip, net, mac, js, jsb, doc, arr, arr2, hs, ci, m, p, pos, fr, ir, pt, bx, bits, vb, tsv, tsq, lsn)
SELECT g, g / 3.0, g / 7.0::float8, g / 9.0, g % 2 = 0,
  E'tab\there\nnew\rreturn\\back \b\f\v\x01 ünïcödé ' || g, repeat('x', g % 10), 'c' || g % 10,
  decode(lpad(to_hex(g), 8, '0'), 'hex'), '0044-03-15 BC'::date + g, '12:34:56.789', '01:02:03+05:30',
  '2024-02-29 23:59:59.999999'::timestamp + g * '1 hour'::interval, '1900-01-01 00:00:00 Europe/Amsterdam',
  '1 year 2 mons -3 days 04:05:06.7', '00000000-0000-0000-0000-00000000000a', '10.0.0.1/24', '10.0.0.0/8',
  '08:00:2b:01:02:03', '{"a" :  [1,null]}', '{"b":{"c":"d"}}', '<a>&lt;b</a>', ARRAY[g, NULL, -g],
  ARRAY[['a', 'NULL'], [NULL, '{"}']], 'k=>v,n=>NULL', 'MiXed', 'it''s "fine"', ('(' || g || ',"a,""b""")')::app.pair, 7,
  '[1.5,2.5)', '[1,5)', '(1.1,2.2)', '((0,0),(1,1))', '101', '1', to_tsvector('simple', 'some words'),
  to_tsquery('simple', 'a & b'), '16/B374D848'
FROM generate_series(1, 500) g;
INSERT INTO app.everything (real4, real8, num, txt, vc) VALUES
  ('NaN', 'Infinity', 'NaN', '', ''), ('-0', '-Infinity', NULL, NULL, NULL), (1e-40, 5e-324, 0, E'\\N', '\.'),
  (0.1, 0.1, 1, E'\\.\n\\.', NULL);
INSERT INTO app.everything DEFAULT VALUES;
ALTER TABLE app.everything OWNER TO owner_one;
COMMENT ON TABLE app.everything IS E'two\nlines';
COMMENT ON COLUMN app.everything.txt IS 'text';

-- Dropped, added, renamed columns.
CREATE TABLE changed (a integer, gone text, b text);
INSERT INTO changed SELECT g, 'gone', 'b' || g FROM generate_series(1, 50) g;
ALTER TABLE changed DROP COLUMN gone, ADD COLUMN c text DEFAULT 'later', ADD COLUMN d app.positive;
DELETE FROM changed WHERE a % 7 = 0;

CREATE TABLE no_columns ();
INSERT INTO no_columns DEFAULT VALUES;
INSERT INTO no_columns DEFAULT VALUES;
CREATE TABLE only_generated (a integer GENERATED ALWAYS AS (1) STORED);
INSERT INTO only_generated DEFAULT VALUES;
CREATE TABLE empty_table (a integer, b text);
CREATE UNLOGGED TABLE unlogged_table AS SELECT generate_series(1, 10) AS a;

-- Names.
CREATE TABLE "we.ird/ ""sch%ema"""."ta.b/le ""x"" \ ünï %41
line" ("co l""1" integer, "select" text, "Ü \" text);
INSERT INTO "we.ird/ ""sch%ema"""."ta.b/le ""x"" \ ünï %41
line" SELECT g, 'v' || g, E'back\\slash' FROM generate_series(1, 20) g;
CREATE INDEX "in dex" ON "we.ird/ ""sch%ema"""."ta.b/le ""x"" \ ünï %41
line" ("co l""1");
CREATE TABLE "UPPER" ("A" integer); INSERT INTO "UPPER" VALUES (1);
CREATE TABLE "to" ("from" integer, "role" text); INSERT INTO "to" VALUES (1, 'a');

-- Sequences.
CREATE SEQUENCE app.fresh START WITH 42;
CREATE SEQUENCE app.used; SELECT nextval('app.used') FROM generate_series(1, 9);
CREATE SEQUENCE app.moved; SELECT setval('app.moved', 77, false);
CREATE SEQUENCE app.down INCREMENT BY -3 MINVALUE -1000 MAXVALUE 10 START WITH 5 CYCLE;
SELECT nextval('app.down'), nextval('app.down');
CREATE TABLE app.serials (a serial, b bigserial, c text);
INSERT INTO app.serials (c) SELECT 'x' FROM generate_series(1, 5);

-- Partitions: range, list, hash, nested, default, detached order of columns.
CREATE TABLE app.events (id bigint NOT NULL, at date NOT NULL, kind text, m app.mood) PARTITION BY RANGE (at);
CREATE TABLE app.events_2023 PARTITION OF app.events FOR VALUES FROM ('2023-01-01') TO ('2024-01-01');
CREATE TABLE app.events_2024 PARTITION OF app.events FOR VALUES FROM ('2024-01-01') TO ('2025-01-01') PARTITION BY LIST (kind);
CREATE TABLE app.events_2024_a PARTITION OF app.events_2024 FOR VALUES IN ('a', NULL);
CREATE TABLE app.events_2024_rest PARTITION OF app.events_2024 DEFAULT PARTITION BY HASH (id);
CREATE TABLE app.events_2024_h0 PARTITION OF app.events_2024_rest FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE app.events_2024_h1 PARTITION OF app.events_2024_rest FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE app.events_other (kind text, m app.mood, id bigint NOT NULL, at date NOT NULL);
ALTER TABLE app.events ATTACH PARTITION app.events_other DEFAULT;
INSERT INTO app.events SELECT g, '2023-06-01'::date + g, CASE g % 3 WHEN 0 THEN 'a' WHEN 1 THEN 'b' END, 'ok'
FROM generate_series(1, 900) g;
CREATE INDEX events_id ON app.events (id);
CREATE TABLE app.by_mood (m app.mood, n integer) PARTITION BY HASH (m);
CREATE TABLE app.by_mood_0 PARTITION OF app.by_mood FOR VALUES WITH (MODULUS 3, REMAINDER 0);
CREATE TABLE app.by_mood_1 PARTITION OF app.by_mood FOR VALUES WITH (MODULUS 3, REMAINDER 1);
CREATE TABLE app.by_mood_2 PARTITION OF app.by_mood FOR VALUES WITH (MODULUS 3, REMAINDER 2);
INSERT INTO app.by_mood SELECT e, g FROM unnest(enum_range(NULL::app.mood)) e, generate_series(1, 5) g;

-- Inheritance.
CREATE TABLE app.parent (a integer CHECK (a > 0), b text DEFAULT 'p');
CREATE TABLE app.child (c integer DEFAULT 3) INHERITS (app.parent);
CREATE TABLE app.grandchild (CHECK (a < 1000)) INHERITS (app.child);
INSERT INTO app.parent VALUES (1, 'p'); INSERT INTO app.child VALUES (2, 'c', 1); INSERT INTO app.grandchild VALUES (3, 'g', 2);

-- Constraints: cyclic, deferrable, exclusion, not valid.
CREATE TABLE app.a (id integer PRIMARY KEY, b_id integer);
CREATE TABLE app.b (id integer PRIMARY KEY, a_id integer REFERENCES app.a DEFERRABLE INITIALLY DEFERRED);
INSERT INTO app.a SELECT g, g FROM generate_series(1, 10) g;
INSERT INTO app.b SELECT g, 11 - g FROM generate_series(1, 10) g;
ALTER TABLE app.a ADD CONSTRAINT a_b FOREIGN KEY (b_id) REFERENCES app.b ON DELETE CASCADE;
CREATE TABLE app.self (id integer PRIMARY KEY, up integer REFERENCES app.self);
INSERT INTO app.self VALUES (1, 2), (2, 1), (3, NULL);
CREATE TABLE app.booking (room integer, during tsrange, EXCLUDE USING gist (room WITH =, during WITH &&));
INSERT INTO app.booking VALUES (1, '[2024-01-01,2024-01-02)'), (1, '[2024-01-02,2024-01-03)');
ALTER TABLE app.a ADD CONSTRAINT late CHECK (id > 5) NOT VALID;

-- Indexes and statistics.
CREATE UNIQUE INDEX everything_expr ON app.everything (lower(txt), id) INCLUDE (vc) WHERE small > 10;
CREATE INDEX everything_gin ON app.everything USING gin (jsb jsonb_path_ops);
CREATE INDEX everything_brin ON app.everything USING brin (ts) WITH (pages_per_range = 4);
CREATE STATISTICS app.stats (dependencies, ndistinct) ON small, vc FROM app.everything;
ALTER TABLE app.everything ALTER COLUMN txt SET STATISTICS 50, ALTER COLUMN jsb SET STORAGE EXTERNAL;
ALTER TABLE app.everything CLUSTER ON everything_pkey;
ALTER TABLE app.serials REPLICA IDENTITY FULL;

-- Views, rules, materialized views on materialized views, one not populated.
CREATE VIEW app.v AS SELECT id, txt FROM app.everything WHERE small < 100 WITH CHECK OPTION;
CREATE VIEW app.v2 WITH (security_barrier) AS SELECT count(*) AS n FROM app.v;
CREATE MATERIALIZED VIEW app.zz_first AS SELECT kind, count(*) AS n FROM app.events GROUP BY kind;
CREATE MATERIALIZED VIEW app.aa_second AS SELECT sum(n) AS n FROM app.zz_first;
CREATE UNIQUE INDEX zz_kind ON app.zz_first (kind);
CREATE MATERIALIZED VIEW app.unpopulated AS SELECT 1 AS a WITH NO DATA;
CREATE TABLE app.ruled (a integer);
CREATE RULE noted AS ON INSERT TO app.ruled DO ALSO INSERT INTO changed (a) VALUES (NEW.a);

-- Triggers that would spoil a restore if they ran.
CREATE FUNCTION app.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no'; END$$;
CREATE TRIGGER refuse BEFORE INSERT ON app.a FOR EACH ROW EXECUTE FUNCTION app.refuse();
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON app.b DEFERRABLE FOR EACH ROW EXECUTE FUNCTION app.refuse();
ALTER TABLE app.b DISABLE TRIGGER later;
CREATE FUNCTION app.watch() RETURNS event_trigger LANGUAGE plpgsql AS $$BEGIN END$$;
CREATE EVENT TRIGGER watch ON ddl_command_end WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION app.watch();

-- Row security.
CREATE TABLE app.secret (who text, what text);
INSERT INTO app.secret VALUES ('auditor', 'x'), ('other', 'y');
ALTER TABLE app.secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON app.secret FOR SELECT TO auditor, owner_one USING (who = current_user);
CREATE POLICY writes ON app.secret AS RESTRICTIVE FOR INSERT TO "reader ""two""" WITH CHECK (who <> 'TO x');

-- Privileges.
GRANT USAGE ON SCHEMA app TO "reader ""two""", auditor;
GRANT SELECT ON app.everything TO "reader ""two""" WITH GRANT OPTION;
GRANT SELECT (id, txt), UPDATE (txt) ON app.everything TO auditor;
REVOKE ALL ON app.everything FROM owner_one;
GRANT EXECUTE ON FUNCTION app.add(integer, integer) TO PUBLIC;
REVOKE ALL ON FUNCTION app.refuse() FROM PUBLIC;
GRANT USAGE ON SEQUENCE app.used TO auditor;
ALTER DEFAULT PRIVILEGES FOR ROLE owner_one IN SCHEMA app GRANT SELECT ON TABLES TO auditor;
ALTER DEFAULT PRIVILEGES FOR ROLE postgres REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT CREATE ON SCHEMA public TO auditor;

-- Foreign data, publications, subscriptions.
CREATE SERVER elsewhere FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', dbname 'no''where');
CREATE USER MAPPING FOR auditor SERVER elsewhere OPTIONS (user 'auditor');
CREATE USER MAPPING FOR PUBLIC SERVER elsewhere;
CREATE FOREIGN TABLE app.remote (a integer) SERVER elsewhere;
CREATE PUBLICATION pub FOR TABLE app.serials, app.parent;
CREATE SUBSCRIPTION sub CONNECTION 'host=127.0.0.1 dbname=nowhere' PUBLICATION pub
  WITH (connect = false, slot_name = NONE);

-- Large objects.
SELECT lo_from_bytea(9000, '');
SELECT lo_from_bytea(9001, 'small');
SELECT lo_from_bytea(9002, decode(repeat('00ff41', 300000), 'hex'));
SELECT lo_from_bytea(4000000000, 'far away');
SELECT lo_create(9003);
SELECT lo_put(9003, 1000000, 'after a hole');
COMMENT ON LARGE OBJECT 9001 IS 'it''s small';
GRANT SELECT ON LARGE OBJECT 9001 TO PUBLIC, auditor;
GRANT SELECT, UPDATE ON LARGE OBJECT 9002 TO auditor WITH GRANT OPTION;
ALTER LARGE OBJECT 9002 OWNER TO owner_one;

-- Values out of line, larger than 8 MiB and incompressible.
CREATE TABLE big (id integer, body text, bin bytea);
ALTER TABLE big ALTER COLUMN body SET STORAGE EXTERNAL;
INSERT INTO big SELECT g, repeat(md5(g::text), 300000), NULL FROM generate_series(1, 2) g;
INSERT INTO big SELECT g, NULL, decode(string_agg(md5((g * 1000 + i)::text), ''), 'hex')
  FROM generate_series(3, 40) g, generate_series(1, 2000) i GROUP BY g;

-- Many blocks: several segments.
CREATE TABLE many (id integer PRIMARY KEY, filler text) WITH (fillfactor = 20);
INSERT INTO many SELECT g, repeat('f', 300) FROM generate_series(1, 14000) g;
DELETE FROM many WHERE id BETWEEN 3000 AND 4000;
UPDATE many SET filler = 'updated' WHERE id % 97 = 0;

CREATE TEMP TABLE not_ours (a integer);
\if :v15
CREATE UNIQUE INDEX nulls_distinct ON app.serials (c, a) NULLS NOT DISTINCT;
CREATE VIEW app.invoker WITH (security_invoker) AS SELECT 1 AS a;
\endif
\if :v18
CREATE TABLE app.virtual_column (a integer, b integer GENERATED ALWAYS AS (a * 2) VIRTUAL);
INSERT INTO app.virtual_column VALUES (1), (2);
\endif
