BEGIN TRANSACTION;
CREATE TABLE attempts (
	call_id TEXT NOT NULL, 
	number INTEGER NOT NULL, 
	model_id TEXT NOT NULL, 
	gateway TEXT NOT NULL, 
	at_us BIGINT NOT NULL, 
	served BOOLEAN NOT NULL, 
	status INTEGER, 
	error_kind TEXT, 
	provider TEXT, 
	model_version TEXT, 
	latency_ms DOUBLE, 
	ttft_ms DOUBLE, 
	input_tokens BIGINT, 
	cached_tokens BIGINT, 
	output_tokens BIGINT, 
	reasoning_tokens BIGINT, 
	cost_nano_usd BIGINT, 
	cost_source TEXT NOT NULL, 
	PRIMARY KEY (call_id, number), 
	FOREIGN KEY(call_id) REFERENCES calls (call_id)
)
 WITHOUT ROWID

;
INSERT INTO "attempts" VALUES('a',0,'small','portkey',1772453102000000,0,504,'timeout',NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,NULL,'unknown');
INSERT INTO "attempts" VALUES('a',1,'small','portkey',1772453102000000,1,200,NULL,NULL,NULL,812.5,95.0,1200,200,300,0,360000,'priced');
INSERT INTO "attempts" VALUES('b',0,'large','portkey',1772453102000000,1,200,NULL,NULL,NULL,812.5,95.0,1200,200,300,0,360000,'priced');
CREATE TABLE calls (
	call_id TEXT NOT NULL, 
	decided_at_us BIGINT NOT NULL, 
	use_case TEXT NOT NULL, 
	segment TEXT NOT NULL, 
	session_id TEXT, 
	tenant TEXT, 
	tags_json TEXT, 
	decision_digest TEXT NOT NULL, 
	model_id TEXT NOT NULL, 
	drawn_model_id TEXT NOT NULL, 
	propensity DOUBLE, 
	overridden_by TEXT, 
	held_out BOOLEAN NOT NULL, 
	objective TEXT NOT NULL, 
	required_quality TEXT, 
	price DOUBLE, 
	exploration DOUBLE NOT NULL, 
	context_tokens BIGINT NOT NULL, 
	policy_version TEXT NOT NULL, 
	price_version TEXT NOT NULL, 
	segmenter_version TEXT NOT NULL, 
	request_json TEXT, 
	features_json TEXT, 
	prompt_hmac TEXT, 
	PRIMARY KEY (call_id), 
	FOREIGN KEY(decision_digest) REFERENCES decisions (digest)
)
 WITHOUT ROWID

;
INSERT INTO "calls" VALUES('a',1772453100000000,'chat','','s','acme','[["team", "search"]]','c866e4024e909cc3b49aa3ff8127c593','small','small',0.5,NULL,0,'average:97%',NULL,12.5,0.02,1200,'policy','prices','',NULL,NULL,NULL);
INSERT INTO "calls" VALUES('b',1772456700000000,'chat','',NULL,NULL,NULL,'c866e4024e909cc3b49aa3ff8127c593','large','large',0.5,NULL,0,'average:97%',NULL,12.5,0.02,1200,'policy','prices','',NULL,NULL,NULL);
INSERT INTO "calls" VALUES('c',1772453100000000,'chat','',NULL,NULL,NULL,'c866e4024e909cc3b49aa3ff8127c593','small','small',0.5,NULL,0,'average:97%',NULL,12.5,0.02,1200,'policy','prices','',NULL,NULL,NULL);
CREATE TABLE decisions (
	digest TEXT NOT NULL, 
	document_json TEXT NOT NULL, 
	PRIMARY KEY (digest)
)
 WITHOUT ROWID

;
INSERT INTO "decisions" VALUES('c866e4024e909cc3b49aa3ff8127c593','{"use_case":"chat","segment":"","objective":"average:97%","required_quality":null,"standings":[{"candidate":{"model_id":"small"},"steps":[["votes",0.5]]},{"candidate":{"model_id":"large"},"steps":[["votes",0.5]]},{"candidate":{"model_id":"shut"},"exclusion":"its window is too short"}],"incumbent":"large","price":12.5,"exploration":0.02,"policy_version":"policy","price_version":"prices"}');
CREATE TABLE evidence (
	use_case TEXT NOT NULL, 
	segment TEXT NOT NULL, 
	model_id TEXT NOT NULL, 
	measure TEXT NOT NULL, 
	bucket_start_s BIGINT NOT NULL, 
	bucket_width_s INTEGER NOT NULL, 
	n BIGINT NOT NULL, 
	total BIGINT NOT NULL, 
	square BIGINT NOT NULL, 
	changed_at_us BIGINT NOT NULL, 
	PRIMARY KEY (use_case, segment, model_id, measure, bucket_start_s, bucket_width_s)
)
 WITHOUT ROWID

;
INSERT INTO "evidence" VALUES('chat','','large','cached_tokens',1772456400,900,1,200,40000,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','large','calls:20',1772456400,900,1,1200,1440000,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','large','cost_nano_usd',1772456400,900,1,360000,0,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','large','failure',1772456400,900,1,0,0,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','large','input_tokens',1772456400,900,1,1200,1440000,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','large','latency:77',1772456400,900,1,0,0,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','large','output_tokens',1772456400,900,1,300,90000,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','large','quality:quality',1772456400,900,1,5000,25000000,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','large','ttft:52',1772456400,900,1,0,0,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','small','cached_tokens',1772452800,900,1,200,40000,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','small','calls:20',1772452800,900,1,1200,1440000,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','small','cost_nano_usd',1772452800,900,1,360000,0,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','small','failure',1772452800,900,2,1,1,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','small','input_tokens',1772452800,900,1,1200,1440000,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','small','latency:77',1772452800,900,1,0,0,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','small','output_tokens',1772452800,900,1,300,90000,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','small','quality:quality',1772452800,900,1,8000,64000000,1795514866272000);
INSERT INTO "evidence" VALUES('chat','','small','ttft:52',1772452800,900,1,0,0,1795514866272000);
CREATE TABLE evidence_state (
	id INTEGER NOT NULL, 
	epoch BIGINT NOT NULL, 
	hours_before_s BIGINT NOT NULL, 
	days_before_s BIGINT NOT NULL, 
	PRIMARY KEY (id)
);
INSERT INTO "evidence_state" VALUES(1,1,0,0);
CREATE TABLE feedback (
	call_id TEXT NOT NULL, 
	metric TEXT NOT NULL, 
	rater TEXT NOT NULL, 
	value DOUBLE, 
	at_us BIGINT NOT NULL, 
	PRIMARY KEY (call_id, metric, rater), 
	FOREIGN KEY(call_id) REFERENCES calls (call_id)
)
 WITHOUT ROWID

;
INSERT INTO "feedback" VALUES('a','quality','ann',0.8,1772453700000000);
INSERT INTO "feedback" VALUES('b','quality','ann',NULL,1772453760000000);
INSERT INTO "feedback" VALUES('b','quality','judge:x',0.5,1772453700000000);
CREATE TABLE ledger_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT ledger_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "ledger_version" VALUES('0001');
CREATE TABLE prices (
	model_id TEXT NOT NULL, 
	from_at_us BIGINT NOT NULL, 
	input_nano_usd_per_mtok BIGINT, 
	output_nano_usd_per_mtok BIGINT, 
	cached_nano_usd_per_mtok BIGINT, 
	long_over_tokens BIGINT, 
	long_input_nano_usd_per_mtok BIGINT, 
	long_output_nano_usd_per_mtok BIGINT, 
	source TEXT NOT NULL, 
	PRIMARY KEY (model_id, from_at_us)
)
 WITHOUT ROWID

;
CREATE TABLE sessions (
	use_case TEXT NOT NULL, 
	session_id TEXT NOT NULL, 
	model_id TEXT NOT NULL, 
	at_us BIGINT NOT NULL, 
	PRIMARY KEY (use_case, session_id)
)
 WITHOUT ROWID

;
INSERT INTO "sessions" VALUES('chat','s','small',1772453100000000);
CREATE INDEX ix_calls_decided_at_us ON calls (decided_at_us);
CREATE INDEX ix_evidence_changed_at_us ON evidence (changed_at_us);
COMMIT;
