-- stub
SELECT m.moment, ''::text as operation_type, m.moment as began_at FROM unnest(:'moments'::timestamp[]) as m (moment) where false and :'percent'::numeric > 0;
