-- Active sessions of Odoo. Dairy document, line 687: right; ships as a metric in
-- custom_queries.ini. Behind a pooler application_name is the client's that has the server now.
SELECT application_name, state, count(*) AS count
FROM pg_stat_activity
WHERE application_name LIKE 'odoo%'
GROUP BY application_name, state
ORDER BY count(*) DESC;
