-- Every type, and every kind of object, that MariaDB 10.11 has.
CREATE SEQUENCE s START WITH 100 INCREMENT BY 10 CACHE 5;
SELECT NEXTVAL(s);

CREATE TABLE numbers (
  id bigint unsigned NOT NULL,
  t tinyint, s smallint unsigned, m mediumint, i int zerofill, b bigint,
  d decimal(65,30), f float, fm float(7,3), db double, dm double(20,4), bo boolean, y year,
  bits bit(64), bit1 bit(1), bits7 bit(7),
  PRIMARY KEY (id)
);
INSERT INTO numbers VALUES
  (18446744073709551615, -128, 65535, -8388608, 42, -9223372036854775808,
   12345678901234567890123456789012345.123456789012345678901234567890, 0.1, 1234.567,
   1.7976931348623157e308, 1234567890.1234, 1, 2155, b'1000000000000000000000000000000000000000000000000000000000000001', b'1', b'0001010'),
  (0, 127, 0, 8388607, 4294967295, 9223372036854775807, -0.000000000000000000000000000001,
   3.40282e38, -0.001, 4.9e-324, -0.0001, 0, 0000, b'0', b'0', b'0'),
  (1, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (2, 0, 0, 0, 0, 0, 0, -0.0, 0, -0.0, 0, 0, 1901, b'101110000000101001011100', b'1', b'1111111'),
  (3, 1, 1, 1, 1, 1, 1, 16777217, 0.333, 0.1, 0.3333, 1, 2000, 9, 1, 9);
INSERT INTO numbers (id, f, db) SELECT seq + 10, RAND(seq) * POW(10, CAST(seq MOD 60 AS SIGNED) - 30),
  RAND(seq) * POW(10, CAST(seq MOD 600 AS SIGNED) - 300) FROM seq_1_to_500;

CREATE TABLE texts (
  id int NOT NULL AUTO_INCREMENT,
  c char(10), v varchar(200) CHARACTER SET latin1, t text, tt tinytext, mt mediumtext, lt longtext,
  bi binary(8), vb varbinary(100), bl blob, lb longblob,
  e enum('a','b, ''c''','', 'ü') , st set('x','y','z''w'),
  j json, u uuid, i6 inet6, i4 inet4,
  sj varchar(50) CHARACTER SET sjis, uc varchar(50) CHARACTER SET ucs2, u16 text CHARACTER SET utf16,
  g varchar(50) GENERATED ALWAYS AS (concat(v, '!')) STORED,
  gv varchar(50) AS (upper(v)) VIRTUAL,
  hidden int INVISIBLE DEFAULT 7,
  dflt varchar(20) DEFAULT (concat('x', 1 + 1)),
  n int DEFAULT nextval(s),
  PRIMARY KEY (id), KEY gk (g), UNIQUE KEY vu (v, id), FULLTEXT KEY ft (t)
) DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_unicode_ci AUTO_INCREMENT=5000 COMMENT='it''s a "table"\nwith AUTO_INCREMENT=9';
INSERT INTO texts (c, v, t, tt, mt, lt, bi, vb, bl, lb, e, st, j, u, i6, i4, sj, uc, u16, hidden) VALUES
  ('  pad', 'naïve', 'tab\tnew\nline\rback\\slash \'quote\' "double" \0 zero \Z', '', 'x', '🦀🦀', 'ab', x'00010203FF0A09005C', x'5C4E', x'0A0D09', 'b, ''c''', 'x,z''w', '{"a": [1, null, "ü\\n"]}', '123e4567-e89b-12d3-a456-426614174000', '2001:db8::1', '10.0.0.1', 'ソ表', '日本', '😀', 1),
  ('', '', '', '', '', '', '', '', '', '', '', '', '""', '00000000-0000-0000-0000-000000000000', '::', '0.0.0.0', '', '', '', 0),
  (NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  ('\\N', '\\N', '\\N', 'NULL', '\\', '\t', '\n', x'5C5C4E', '\\t', '\\\\', 'ü', 'y', 'null', 'ffffffff-ffff-1fff-8fff-ffffffffffff', 'ffff::', '255.255.255.255', '\\', '\\', '\\', 2);
INSERT INTO texts (mt, lb) SELECT REPEAT('wide row ', 30000), REPEAT(x'00FF5C0A09', 50000);

CREATE TABLE moments (
  d date, t time(6), dt datetime(6), ts timestamp(6) NULL, ts0 timestamp NOT NULL DEFAULT '2020-01-01 00:00:00' ON UPDATE current_timestamp(),
  PRIMARY KEY (dt, d)
);
SET sql_mode = 'ALLOW_INVALID_DATES', time_zone = '+02:00';
INSERT INTO moments VALUES
  ('0000-00-00', '-838:59:59.999999', '0000-00-00 00:00:00', NULL, '0000-00-00 00:00:00'),
  ('2000-02-31', '838:59:59', '9999-12-31 23:59:59.999999', '2038-01-19 05:14:07.999999', '1970-01-01 02:00:01'),
  ('2026-01-00', '00:00:00.000001', '2026-10-25 02:30:00.5', '2026-10-25 00:30:00', '2026-03-29 01:30:00');
SET time_zone = DEFAULT, sql_mode = DEFAULT;

CREATE TABLE shapes (id int PRIMARY KEY, p point NOT NULL, g geometry, l linestring, SPATIAL KEY pk (p));
INSERT INTO shapes VALUES (1, POINT(1.5, -2.25), ST_GeomFromText('POLYGON((0 0,10 0,10 10,0 10,0 0))', 4326), ST_GeomFromText('LINESTRING(0 0,1e-300 1e300)')),
  (2, POINT(0, 0), NULL, NULL);

CREATE TABLE `we``ird name; -- ü` (`sel``ect` int PRIMARY KEY, `a b` varchar(10), `%s/.` int, `日本` text) COMMENT='ü🦀';
INSERT INTO `we``ird name; -- ü` VALUES (1, 'x', 2, 'y');

CREATE TABLE keyless (a int, b varchar(20));
INSERT INTO keyless SELECT seq MOD 7, seq FROM seq_1_to_1000;
INSERT INTO keyless VALUES (1, 'twice'), (1, 'twice'), (NULL, NULL);
CREATE TABLE keyless_unique (a int NOT NULL, b varchar(20), UNIQUE KEY (a), KEY (b));
INSERT INTO keyless_unique SELECT seq, seq FROM seq_1_to_50;
CREATE TABLE enum_key (e enum('z','a','m') PRIMARY KEY, v int);
INSERT INTO enum_key VALUES ('a', 1), ('m', 2), ('z', 3);
CREATE TABLE legacy (id int PRIMARY KEY, e enum('a','b'), x enum('', 'y') NOT NULL);
SET sql_mode = '';
INSERT INTO legacy VALUES (1, 'a', ''), (2, 'no member', 'y'), (3, 'nor this', 'nor that'), (4, NULL, 'y');
SET sql_mode = DEFAULT;
CREATE TABLE empty_table (id int PRIMARY KEY);
CREATE TABLE computed_only (id int GENERATED ALWAYS AS (1) VIRTUAL);

CREATE TABLE parts (id int NOT NULL, region varchar(10) NOT NULL, v int, PRIMARY KEY (id, region), KEY v (v))
  PARTITION BY RANGE (id) (PARTITION p0 VALUES LESS THAN (100), PARTITION p1 VALUES LESS THAN (1000), PARTITION pm VALUES LESS THAN MAXVALUE);
INSERT INTO parts SELECT seq, CONCAT('r', seq MOD 3), seq * 2 FROM seq_1_to_2000;

CREATE TABLE parent (id int PRIMARY KEY, code varchar(10) UNIQUE);
CREATE TABLE child (id int PRIMARY KEY AUTO_INCREMENT, parent_id int, code varchar(10), up int,
  CONSTRAINT fk_parent FOREIGN KEY (parent_id) REFERENCES parent (id) ON DELETE CASCADE ON UPDATE SET NULL,
  CONSTRAINT fk_code FOREIGN KEY (code) REFERENCES parent (code),
  CONSTRAINT fk_self FOREIGN KEY (up) REFERENCES child (id),
  CONSTRAINT positive CHECK (up < 1000)) AUTO_INCREMENT=77;
INSERT INTO parent VALUES (1, 'a'), (2, 'b');
INSERT INTO child VALUES (1, 1, 'a', NULL), (2, NULL, NULL, 1), (3, 2, 'b', 2);
CREATE TABLE zero_auto (id int PRIMARY KEY AUTO_INCREMENT, v int);
SET sql_mode = 'NO_AUTO_VALUE_ON_ZERO';
INSERT INTO zero_auto VALUES (0, 1), (-5, 2), (9, 3);
SET sql_mode = DEFAULT;

CREATE TABLE isam (id int PRIMARY KEY, v varchar(10)) ENGINE=MyISAM;
INSERT INTO isam VALUES (1, 'x');
CREATE TABLE aria (id int PRIMARY KEY, v varchar(10)) ENGINE=Aria;
INSERT INTO aria VALUES (1, 'y');

CREATE VIEW z_view AS SELECT id, code, 'ü🦀' AS lit FROM parent;
DELIMITER //
CREATE FUNCTION twice(n int) RETURNS int DETERMINISTIC BEGIN RETURN n * 2; END//
SET sql_mode = 'ANSI_QUOTES,PIPES_AS_CONCAT'//
CREATE PROCEDURE greet(IN who varchar(20) CHARACTER SET utf8mb4) COMMENT 'says "ü"' SQL SECURITY INVOKER BEGIN SELECT 'hello 🦀 ' || who AS "the ü"; END//
SET sql_mode = DEFAULT//
CREATE TRIGGER child_ai AFTER INSERT ON child FOR EACH ROW BEGIN INSERT INTO keyless VALUES (NEW.id, 'from trigger'); END//
CREATE TRIGGER child_ai2 AFTER INSERT ON child FOR EACH ROW PRECEDES child_ai SET @x = 'ü'//
SET time_zone = 'SYSTEM'//
CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY STARTS '2030-01-01 00:00:00' ON COMPLETION PRESERVE COMMENT 'x' DO BEGIN DELETE FROM keyless WHERE a = 1; END//
CREATE EVENT off_event ON SCHEDULE EVERY 1 HOUR DISABLE DO SET @a = 1//
DELIMITER ;
CREATE ALGORITHM=MERGE SQL SECURITY INVOKER VIEW a_on_z AS SELECT id, twice(id) AS t FROM z_view WHERE id > 0 WITH CASCADED CHECK OPTION;
