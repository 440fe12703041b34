alter table sales.customers add primary key (id);
alter table sales.orders add primary key (id);
alter table web.events add primary key (id);
alter table public.documents add primary key (id);
create unique index customers_email on sales.customers (lower(email));
create index orders_customer on sales.orders (customer_id, placed_at);
create index orders_open on sales.orders (placed_at) where status in ('new', 'paid');
create index events_at on web.events using brin (at);
alter table sales.orders add foreign key (customer_id) references sales.customers (id);
create view sales.revenue as
  select date_trunc('month', placed_at) as month, sum(total) as total
  from sales.orders where status <> 'returned' group by 1;
create materialized view sales.best_customers as
  select customer_id, count(*) as orders, sum(total) as total
  from sales.orders group by 1 order by 3 desc, 1 limit 100;
create function sales.touch() returns trigger language plpgsql
  as $$ begin new.updated_at := now(); return new; end $$;
create trigger customers_touch before update on sales.customers
  for each row when (old.email is distinct from new.email) execute function sales.touch();
select setval(pg_get_serial_sequence('sales.customers', 'id'), :customers),
  setval(pg_get_serial_sequence('sales.orders', 'id'), :orders),
  setval(pg_get_serial_sequence('web.events', 'id'), :events),
  setval(pg_get_serial_sequence('public.documents', 'id'), :documents) \g /dev/null
vacuum analyze;
