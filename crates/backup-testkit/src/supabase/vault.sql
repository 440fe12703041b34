-- Vault, where the extension itself cannot be had.
CREATE SCHEMA vault;
CREATE TABLE vault.secrets (id uuid PRIMARY KEY DEFAULT gen_random_uuid(), name text, secret text NOT NULL);
GRANT USAGE ON SCHEMA vault TO postgres;
GRANT SELECT, DELETE ON vault.secrets TO postgres;
