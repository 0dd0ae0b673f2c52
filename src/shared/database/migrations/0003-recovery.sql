-- What the ledger remembers to recover from workers that die and senders that cannot send.
alter table delivery.sender
  add column in_trouble boolean not null default false;  -- nothing has left since the last pause: one delivery at a time tries

alter table delivery.delivery
  add column lost_leases integer not null default 0,     -- those that ended with nothing recorded
  add column called_address text;                        -- where the open attempt went; null when none is open
