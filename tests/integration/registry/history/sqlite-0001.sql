BEGIN TRANSACTION;
CREATE TABLE alembic_version (
	version_num VARCHAR(32) NOT NULL, 
	CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num)
);
INSERT INTO "alembic_version" VALUES('0001');
CREATE TABLE vp_artifacts (
	mission_id VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (mission_id, name), 
	FOREIGN KEY(mission_id) REFERENCES vp_missions (mission_id)
);
CREATE TABLE vp_counters (
	vp_id VARCHAR NOT NULL, 
	kind VARCHAR NOT NULL, 
	name VARCHAR NOT NULL, 
	value INTEGER NOT NULL, 
	PRIMARY KEY (vp_id, kind, name)
);
INSERT INTO "vp_counters" VALUES('vp.coder.primary','session_event','vp.session.created',1);
INSERT INTO "vp_counters" VALUES('vp.coder.primary','session_event','vp.session.activated',1);
INSERT INTO "vp_counters" VALUES('vp.coder.primary','mission_event','vp.mission.dispatched',3);
INSERT INTO "vp_counters" VALUES('vp.coder.primary','mission_state','queued',1);
INSERT INTO "vp_counters" VALUES('vp.coder.primary','mission_event','vp.mission.accepted',2);
INSERT INTO "vp_counters" VALUES('vp.coder.primary','mission_state','running',1);
INSERT INTO "vp_counters" VALUES('vp.coder.primary','mission_event','vp.mission.completed',1);
INSERT INTO "vp_counters" VALUES('vp.coder.primary','mission_state','completed',1);
INSERT INTO "vp_counters" VALUES('vp.coder.primary','mission_event','vp.mission.progress',1);
CREATE TABLE vp_mission_events (
	position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	mission_id VARCHAR NOT NULL, 
	vp_id VARCHAR NOT NULL, 
	sequence INTEGER NOT NULL, 
	type TEXT NOT NULL, 
	emitted_at TEXT NOT NULL, 
	idempotency_key VARCHAR, 
	report_digest VARCHAR, 
	document VARCHAR NOT NULL, 
	CONSTRAINT ck_type_known CHECK (type IN ('vp.mission.accepted', 'vp.mission.artifact', 'vp.mission.blocked', 'vp.mission.budget_changed', 'vp.mission.cancel_requested', 'vp.mission.cancelled', 'vp.mission.completed', 'vp.mission.dispatched', 'vp.mission.failed', 'vp.mission.fallback', 'vp.mission.progress', 'vp.mission.requeued', 'vp.mission.resumed', 'vp.mission.timed_out', 'vp.session.activated', 'vp.session.created', 'vp.session.degraded', 'vp.session.drained', 'vp.session.opened', 'vp.session.paused', 'vp.session.recovered', 'vp.session.recovering', 'vp.session.released', 'vp.session.reset', 'vp.session.resumed', 'vp.session.retired')), 
	FOREIGN KEY(mission_id) REFERENCES vp_missions (mission_id), 
	CONSTRAINT uq_mission_event_sequence UNIQUE (mission_id, sequence)
);
INSERT INTO "vp_mission_events" VALUES(1,'m-0','vp.coder.primary',1,'vp.mission.dispatched','2026-01-01T00:00:00.000000Z',NULL,NULL,'{"actor":{"kind":"caller","name":"simone"},"attempt":0,"digest":"b4f005f762bd48616303f2b8f86fa8d31b81e1490f9671f9f7e31f8bf0b4de34","emitted_at":"2026-01-01T00:00:00.000000Z","mission_id":"m-0","sequence":1,"status":"queued","trace_id":"7a9a4cf8563914b25e90261306f1d051","transition":"M1","type":"vp.mission.dispatched","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}');
INSERT INTO "vp_mission_events" VALUES(2,'m-1','vp.coder.primary',1,'vp.mission.dispatched','2026-01-01T00:00:00.000000Z',NULL,NULL,'{"actor":{"kind":"caller","name":"simone"},"attempt":0,"digest":"0895990f5e51f25c074aae769e29c1fc7e46c0391343ca544f18f129727c8e1a","emitted_at":"2026-01-01T00:00:00.000000Z","mission_id":"m-1","sequence":1,"status":"queued","trace_id":"02c1718a83af7a7d9e93955805839164","transition":"M1","type":"vp.mission.dispatched","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}');
INSERT INTO "vp_mission_events" VALUES(3,'m-2','vp.coder.primary',1,'vp.mission.dispatched','2026-01-01T00:00:00.000000Z',NULL,NULL,'{"actor":{"kind":"caller","name":"simone"},"attempt":0,"digest":"588da701423b2bf27b7834cec027fdf871423d594ae9cc893accc4f8e7f19d30","emitted_at":"2026-01-01T00:00:00.000000Z","mission_id":"m-2","sequence":1,"status":"queued","trace_id":"ec487a5078f9bd8591dcf5ec4fb5d325","transition":"M1","type":"vp.mission.dispatched","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}');
INSERT INTO "vp_mission_events" VALUES(4,'m-0','vp.coder.primary',2,'vp.mission.accepted','2026-01-01T00:00:00.000000Z',NULL,NULL,'{"actor":{"kind":"lane","name":"rt-1-owner"},"attempt":1,"digest":"75c0333ed0868b0687b935af99a21156b80217c7c791dacd6ce61e1eae635eff","emitted_at":"2026-01-01T00:00:00.000000Z","lease_epoch":1,"mission_id":"m-0","previous_digest":"b4f005f762bd48616303f2b8f86fa8d31b81e1490f9671f9f7e31f8bf0b4de34","sequence":2,"status":"running","trace_id":"7a9a4cf8563914b25e90261306f1d051","transition":"M3","type":"vp.mission.accepted","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}');
INSERT INTO "vp_mission_events" VALUES(5,'m-1','vp.coder.primary',2,'vp.mission.accepted','2026-01-01T00:00:00.000000Z',NULL,NULL,'{"actor":{"kind":"lane","name":"rt-1-owner"},"attempt":1,"digest":"d7c38d99510386114229fe90e7eb240c67f7ea37ce1f21c3b92f1dd79e102139","emitted_at":"2026-01-01T00:00:00.000000Z","lease_epoch":1,"mission_id":"m-1","previous_digest":"0895990f5e51f25c074aae769e29c1fc7e46c0391343ca544f18f129727c8e1a","sequence":2,"status":"running","trace_id":"02c1718a83af7a7d9e93955805839164","transition":"M3","type":"vp.mission.accepted","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}');
INSERT INTO "vp_mission_events" VALUES(6,'m-0','vp.coder.primary',3,'vp.mission.completed','2026-01-01T00:00:00.000000Z',NULL,NULL,'{"actor":{"kind":"lane","name":"rt-1-owner"},"artifact_index":[],"attempt":1,"completed_via":"lane","digest":"b585f6e44ee4d8cd8fd635565266485db626f9d2d0be0a1edcc1c600b7d24b9d","emitted_at":"2026-01-01T00:00:00.000000Z","latency_seconds":0.0,"lease_epoch":1,"mission_id":"m-0","previous_digest":"75c0333ed0868b0687b935af99a21156b80217c7c791dacd6ce61e1eae635eff","queue_seconds":0.0,"recommended_next_action":"Review the result.","sequence":3,"status":"completed","trace_id":"7a9a4cf8563914b25e90261306f1d051","transition":"M5","type":"vp.mission.completed","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}');
INSERT INTO "vp_mission_events" VALUES(7,'m-1','vp.coder.primary',3,'vp.mission.progress','2026-01-01T00:00:00.000000Z',NULL,NULL,'{"actor":{"kind":"lane","name":"rt-1-owner"},"attempt":1,"digest":"330391a4c354183751f4432499dc179c6a7298c7d58908ef161287b92d7da894","emitted_at":"2026-01-01T00:00:00.000000Z","lease_epoch":1,"mission_id":"m-1","previous_digest":"d7c38d99510386114229fe90e7eb240c67f7ea37ce1f21c3b92f1dd79e102139","sequence":3,"status":"running","trace_id":"02c1718a83af7a7d9e93955805839164","transition":"M4","type":"vp.mission.progress","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}');
CREATE TABLE vp_missions (
	position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	mission_id VARCHAR NOT NULL, 
	vp_id VARCHAR NOT NULL, 
	vp_session_id VARCHAR NOT NULL, 
	kind TEXT NOT NULL, 
	state TEXT NOT NULL, 
	attempt INTEGER NOT NULL, 
	failures INTEGER NOT NULL, 
	holder TEXT NOT NULL, 
	hold_expires_at TEXT, 
	approval_expires_at TEXT, 
	lease_epoch INTEGER NOT NULL, 
	vp_runtime_id VARCHAR, 
	cancel_requested_at TEXT, 
	reason_code TEXT, 
	cause TEXT, 
	parked BOOLEAN NOT NULL, 
	not_before TEXT, 
	resume BOOLEAN NOT NULL, 
	continuity_id VARCHAR, 
	completed_via VARCHAR, 
	fallback BOOLEAN NOT NULL, 
	source_instance_id VARCHAR NOT NULL, 
	idempotency_key VARCHAR NOT NULL, 
	request_digest VARCHAR NOT NULL, 
	priority_rank INTEGER NOT NULL, 
	traffic VARCHAR NOT NULL, 
	trace_id VARCHAR NOT NULL, 
	parent_mission_id VARCHAR, 
	retry_of VARCHAR, 
	callback_url VARCHAR, 
	deadline_at TEXT, 
	window_start_at TEXT, 
	window_end_at TEXT, 
	max_runtime_seconds FLOAT, 
	max_llm_calls INTEGER, 
	max_cost_microusd INTEGER, 
	usage TEXT NOT NULL, 
	runtime_seconds FLOAT NOT NULL, 
	attempt_started_at TEXT, 
	started_at TEXT, 
	finished_at TEXT, 
	created_at TEXT NOT NULL, 
	updated_at TEXT NOT NULL, 
	last_sequence INTEGER NOT NULL, 
	last_digest VARCHAR, 
	claim_key VARCHAR NOT NULL, 
	ends_at TEXT, 
	document VARCHAR NOT NULL, 
	assigned TEXT NOT NULL, 
	CONSTRAINT ck_holder_known CHECK (holder IN ('lane', 'none', 'primary')), 
	CONSTRAINT ck_kind_known CHECK (kind IN ('delegated', 'dispatched', 'shadow')), 
	CONSTRAINT ck_reason_code_known CHECK (reason_code IS NULL OR reason_code IN ('approval_denied', 'approval_expired', 'approval_required', 'approval_wanted', 'attempts_exhausted', 'awaiting_fallback', 'backstop_reached', 'budget_denied', 'budget_exhausted', 'caller_gone', 'cancel_forced', 'cancel_requested', 'constraint_refused', 'deadline_passed', 'drained', 'executor_crashed', 'executor_error', 'extension_unsupported', 'fallback_failed', 'idle_timeout', 'input_wanted', 'lane_draining', 'lease_lost', 'login_wanted', 'max_runtime_exceeded', 'outputs_missing', 'parent_ended', 'primary_lost', 'session_unresumable', 'shadow_blocked', 'stage_left_shadow', 'start_timeout', 'suspended', 'tool_forbidden', 'window_closed')), 
	CONSTRAINT ck_state_known CHECK (state IN ('blocked', 'cancelled', 'completed', 'failed', 'queued', 'running', 'timed_out')), 
	CONSTRAINT ck_holder_works CHECK (state IN ('running', 'blocked') OR holder = 'none'), 
	CONSTRAINT ck_counts CHECK (attempt >= 0 AND failures >= 0), 
	UNIQUE (mission_id), 
	CONSTRAINT uq_mission_idempotency UNIQUE (source_instance_id, idempotency_key)
);
INSERT INTO "vp_missions" VALUES(1,'m-0','vp.coder.primary','s_01a2159913e9a17bd5c5728f3b41','dispatched','completed',1,0,'none',NULL,NULL,1,'rt-1',NULL,NULL,NULL,0,NULL,0,'c_01a2159913e9a70eb9e7b4836373','lane',0,'factory-1','key-1','611cb1266d3cead84d9bfe7f360469aff2cd90df459a72522d4ccd5dad2b1b6f',2,'real','7a9a4cf8563914b25e90261306f1d051',NULL,NULL,'https://factory.example/callbacks',NULL,NULL,NULL,NULL,NULL,NULL,'{}',0.0,NULL,'2026-01-01T00:00:00.000000Z','2026-01-01T00:00:00.000000Z','2026-01-01T00:00:00.000000Z','2026-01-01T00:00:00.000000Z',3,'b585f6e44ee4d8cd8fd635565266485db626f9d2d0be0a1edcc1c600b7d24b9d','2:9999-12-31T23:59:59.999999Z',NULL,'{"callback":{"auth_mode":"none","status_url":"https://factory.example/callbacks"},"idempotency_key":"key-1","mission_id":"m-0","mission_type":"coding","objective":"Make the parser accept empty files.","vp_id":"vp.coder.primary"}','{"created_at":"2026-01-01T00:00:00.000000Z","mission_id":"m-0","source_instance_id":"factory-1","trace_id":"7a9a4cf8563914b25e90261306f1d051","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}');
INSERT INTO "vp_missions" VALUES(2,'m-1','vp.coder.primary','s_01a2159913e9a17bd5c5728f3b41','dispatched','running',1,0,'lane',NULL,NULL,1,'rt-1',NULL,NULL,NULL,0,NULL,0,'c_01a2159913e9a70eb9e7b4836373',NULL,0,'factory-1','key-2','e29155f96bee60bf4ae1475f7ec9c5eb44baedfeca0e40a897f0dcc2f17e3c14',2,'real','02c1718a83af7a7d9e93955805839164',NULL,NULL,'https://factory.example/callbacks',NULL,NULL,NULL,NULL,NULL,NULL,'{}',0.0,'2026-01-01T00:00:00.000000Z','2026-01-01T00:00:00.000000Z',NULL,'2026-01-01T00:00:00.000000Z','2026-01-01T00:00:00.000000Z',3,'330391a4c354183751f4432499dc179c6a7298c7d58908ef161287b92d7da894','2:9999-12-31T23:59:59.999999Z',NULL,'{"callback":{"auth_mode":"none","status_url":"https://factory.example/callbacks"},"idempotency_key":"key-2","mission_id":"m-1","mission_type":"coding","objective":"Make the parser accept empty files.","vp_id":"vp.coder.primary"}','{"created_at":"2026-01-01T00:00:00.000000Z","mission_id":"m-1","source_instance_id":"factory-1","trace_id":"02c1718a83af7a7d9e93955805839164","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}');
INSERT INTO "vp_missions" VALUES(3,'m-2','vp.coder.primary','s_01a2159913e9a17bd5c5728f3b41','dispatched','queued',0,0,'none',NULL,NULL,0,NULL,NULL,NULL,NULL,0,NULL,0,NULL,NULL,0,'factory-1','key-3','db640d901ca100dc44ae48f1cadb8f201cad0b021b6b60e69edcaa66735b952d',2,'real','ec487a5078f9bd8591dcf5ec4fb5d325',NULL,NULL,'https://factory.example/callbacks',NULL,NULL,NULL,NULL,NULL,NULL,'{}',0.0,NULL,NULL,NULL,'2026-01-01T00:00:00.000000Z','2026-01-01T00:00:00.000000Z',1,'588da701423b2bf27b7834cec027fdf871423d594ae9cc893accc4f8e7f19d30','2:9999-12-31T23:59:59.999999Z',NULL,'{"callback":{"auth_mode":"none","status_url":"https://factory.example/callbacks"},"idempotency_key":"key-3","mission_id":"m-2","mission_type":"coding","objective":"Make the parser accept empty files.","vp_id":"vp.coder.primary"}','{"created_at":"2026-01-01T00:00:00.000000Z","mission_id":"m-2","source_instance_id":"factory-1","trace_id":"ec487a5078f9bd8591dcf5ec4fb5d325","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}');
CREATE TABLE vp_outbox (
	position INTEGER NOT NULL, 
	mission_id VARCHAR NOT NULL, 
	endpoint VARCHAR NOT NULL, 
	sequence INTEGER NOT NULL, 
	status VARCHAR NOT NULL, 
	attempts INTEGER NOT NULL, 
	next_attempt_at TEXT NOT NULL, 
	body VARCHAR NOT NULL, 
	created_at TEXT NOT NULL, 
	PRIMARY KEY (position), 
	CONSTRAINT ck_outbox_status CHECK (status IN ('undelivered', 'delivered', 'dead')), 
	FOREIGN KEY(mission_id) REFERENCES vp_missions (mission_id), 
	CONSTRAINT uq_outbox_order UNIQUE (mission_id, endpoint, sequence)
);
INSERT INTO "vp_outbox" VALUES(1,'m-0','https://factory.example/callbacks',1,'undelivered',0,'2026-01-01T00:00:00.000000Z','{"actor":{"kind":"caller","name":"simone"},"attempt":0,"digest":"b4f005f762bd48616303f2b8f86fa8d31b81e1490f9671f9f7e31f8bf0b4de34","emitted_at":"2026-01-01T00:00:00.000000Z","mission_id":"m-0","sequence":1,"status":"queued","trace_id":"7a9a4cf8563914b25e90261306f1d051","transition":"M1","type":"vp.mission.dispatched","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}','2026-01-01T00:00:00.000000Z');
INSERT INTO "vp_outbox" VALUES(2,'m-1','https://factory.example/callbacks',1,'undelivered',0,'2026-01-01T00:00:00.000000Z','{"actor":{"kind":"caller","name":"simone"},"attempt":0,"digest":"0895990f5e51f25c074aae769e29c1fc7e46c0391343ca544f18f129727c8e1a","emitted_at":"2026-01-01T00:00:00.000000Z","mission_id":"m-1","sequence":1,"status":"queued","trace_id":"02c1718a83af7a7d9e93955805839164","transition":"M1","type":"vp.mission.dispatched","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}','2026-01-01T00:00:00.000000Z');
INSERT INTO "vp_outbox" VALUES(3,'m-2','https://factory.example/callbacks',1,'undelivered',0,'2026-01-01T00:00:00.000000Z','{"actor":{"kind":"caller","name":"simone"},"attempt":0,"digest":"588da701423b2bf27b7834cec027fdf871423d594ae9cc893accc4f8e7f19d30","emitted_at":"2026-01-01T00:00:00.000000Z","mission_id":"m-2","sequence":1,"status":"queued","trace_id":"ec487a5078f9bd8591dcf5ec4fb5d325","transition":"M1","type":"vp.mission.dispatched","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}','2026-01-01T00:00:00.000000Z');
INSERT INTO "vp_outbox" VALUES(4,'m-0','https://factory.example/callbacks',2,'undelivered',0,'2026-01-01T00:00:00.000000Z','{"actor":{"kind":"lane","name":"rt-1-owner"},"attempt":1,"digest":"75c0333ed0868b0687b935af99a21156b80217c7c791dacd6ce61e1eae635eff","emitted_at":"2026-01-01T00:00:00.000000Z","lease_epoch":1,"mission_id":"m-0","previous_digest":"b4f005f762bd48616303f2b8f86fa8d31b81e1490f9671f9f7e31f8bf0b4de34","sequence":2,"status":"running","trace_id":"7a9a4cf8563914b25e90261306f1d051","transition":"M3","type":"vp.mission.accepted","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}','2026-01-01T00:00:00.000000Z');
INSERT INTO "vp_outbox" VALUES(5,'m-1','https://factory.example/callbacks',2,'undelivered',0,'2026-01-01T00:00:00.000000Z','{"actor":{"kind":"lane","name":"rt-1-owner"},"attempt":1,"digest":"d7c38d99510386114229fe90e7eb240c67f7ea37ce1f21c3b92f1dd79e102139","emitted_at":"2026-01-01T00:00:00.000000Z","lease_epoch":1,"mission_id":"m-1","previous_digest":"0895990f5e51f25c074aae769e29c1fc7e46c0391343ca544f18f129727c8e1a","sequence":2,"status":"running","trace_id":"02c1718a83af7a7d9e93955805839164","transition":"M3","type":"vp.mission.accepted","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}','2026-01-01T00:00:00.000000Z');
INSERT INTO "vp_outbox" VALUES(6,'m-0','https://factory.example/callbacks',3,'undelivered',0,'2026-01-01T00:00:00.000000Z','{"actor":{"kind":"lane","name":"rt-1-owner"},"artifact_index":[],"attempt":1,"completed_via":"lane","digest":"b585f6e44ee4d8cd8fd635565266485db626f9d2d0be0a1edcc1c600b7d24b9d","emitted_at":"2026-01-01T00:00:00.000000Z","latency_seconds":0.0,"lease_epoch":1,"mission_id":"m-0","previous_digest":"75c0333ed0868b0687b935af99a21156b80217c7c791dacd6ce61e1eae635eff","queue_seconds":0.0,"recommended_next_action":"Review the result.","sequence":3,"status":"completed","trace_id":"7a9a4cf8563914b25e90261306f1d051","transition":"M5","type":"vp.mission.completed","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}','2026-01-01T00:00:00.000000Z');
INSERT INTO "vp_outbox" VALUES(7,'m-1','https://factory.example/callbacks',3,'undelivered',0,'2026-01-01T00:00:00.000000Z','{"actor":{"kind":"lane","name":"rt-1-owner"},"attempt":1,"digest":"330391a4c354183751f4432499dc179c6a7298c7d58908ef161287b92d7da894","emitted_at":"2026-01-01T00:00:00.000000Z","lease_epoch":1,"mission_id":"m-1","previous_digest":"d7c38d99510386114229fe90e7eb240c67f7ea37ce1f21c3b92f1dd79e102139","sequence":3,"status":"running","trace_id":"02c1718a83af7a7d9e93955805839164","transition":"M4","type":"vp.mission.progress","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}','2026-01-01T00:00:00.000000Z');
CREATE TABLE vp_receipts (
	mission_id VARCHAR NOT NULL, 
	attempt INTEGER NOT NULL, 
	document TEXT NOT NULL, 
	PRIMARY KEY (mission_id), 
	FOREIGN KEY(mission_id) REFERENCES vp_missions (mission_id)
);
INSERT INTO "vp_receipts" VALUES('m-0',1,'{"outcome":"done"}');
CREATE TABLE vp_session_events (
	position INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
	vp_id VARCHAR NOT NULL, 
	sequence INTEGER NOT NULL, 
	type TEXT NOT NULL, 
	emitted_at TEXT NOT NULL, 
	document VARCHAR NOT NULL, 
	CONSTRAINT ck_type_known CHECK (type IN ('vp.mission.accepted', 'vp.mission.artifact', 'vp.mission.blocked', 'vp.mission.budget_changed', 'vp.mission.cancel_requested', 'vp.mission.cancelled', 'vp.mission.completed', 'vp.mission.dispatched', 'vp.mission.failed', 'vp.mission.fallback', 'vp.mission.progress', 'vp.mission.requeued', 'vp.mission.resumed', 'vp.mission.timed_out', 'vp.session.activated', 'vp.session.created', 'vp.session.degraded', 'vp.session.drained', 'vp.session.opened', 'vp.session.paused', 'vp.session.recovered', 'vp.session.recovering', 'vp.session.released', 'vp.session.reset', 'vp.session.resumed', 'vp.session.retired')), 
	FOREIGN KEY(vp_id) REFERENCES vp_sessions (vp_id), 
	CONSTRAINT uq_session_event_sequence UNIQUE (vp_id, sequence)
);
INSERT INTO "vp_session_events" VALUES(1,'vp.coder.primary',1,'vp.session.created','2026-01-01T00:00:00.000000Z','{"actor":{"kind":"control_plane","name":"control-plane"},"detail":{},"digest":"1d993fb089d0ded4ce7a1335f27b7400f483db0d6b9527a8b232350ce104195f","emitted_at":"2026-01-01T00:00:00.000000Z","lease_epoch":0,"sequence":1,"status":"idle","transition":"S1","type":"vp.session.created","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}');
INSERT INTO "vp_session_events" VALUES(2,'vp.coder.primary',2,'vp.session.activated','2026-01-01T00:00:00.000000Z','{"actor":{"kind":"lane","name":"rt-1-owner","way":"registry"},"detail":{"owner":"rt-1-owner","vp_runtime_id":"rt-1"},"digest":"bc135a12c36d2c994fb11d8ba136f81d2f34846b176b46c86d110c68acc134fc","emitted_at":"2026-01-01T00:00:00.000000Z","lease_epoch":1,"previous_digest":"1d993fb089d0ded4ce7a1335f27b7400f483db0d6b9527a8b232350ce104195f","sequence":2,"status":"active","transition":"S2","type":"vp.session.activated","vp_id":"vp.coder.primary","vp_session_id":"s_01a2159913e9a17bd5c5728f3b41"}');
CREATE TABLE vp_sessions (
	vp_id VARCHAR NOT NULL, 
	vp_session_id VARCHAR NOT NULL, 
	status TEXT NOT NULL, 
	lease_owner VARCHAR, 
	lease_epoch INTEGER NOT NULL, 
	lease_expires_at TEXT, 
	beat INTEGER NOT NULL, 
	heartbeat_at TEXT, 
	vp_runtime_id VARCHAR, 
	executor_session_id VARCHAR, 
	continuity_id VARCHAR NOT NULL, 
	workspace VARCHAR, 
	last_error VARCHAR, 
	drain_open BOOLEAN NOT NULL, 
	created_at TEXT NOT NULL, 
	updated_at TEXT NOT NULL, 
	last_sequence INTEGER NOT NULL, 
	last_digest VARCHAR, 
	policy TEXT NOT NULL, 
	PRIMARY KEY (vp_id), 
	CONSTRAINT ck_status_known CHECK (status IN ('active', 'degraded', 'idle', 'paused', 'recovering', 'retired'))
);
INSERT INTO "vp_sessions" VALUES('vp.coder.primary','s_01a2159913e9a17bd5c5728f3b41','active','rt-1-owner',1,'2026-01-01T00:00:30.000000Z',1,'2026-01-01T00:00:00.000000Z','rt-1',NULL,'c_01a2159913e9a70eb9e7b4836373',NULL,NULL,0,'2026-01-01T00:00:00.000000Z','2026-01-01T00:00:00.000000Z',2,'bc135a12c36d2c994fb11d8ba136f81d2f34846b176b46c86d110c68acc134fc','{"backoff":5.0,"backstop":14400.0,"cancel_deadline":30.0,"claims_per_hour":null,"heartbeat_interval":10.0,"idle_limit":900.0,"lease_ttl":30.0,"max_attempts":3,"parallel_missions":2,"queue_limit":1000,"retry":true,"start_timeout":15.0,"vp_id":"vp.coder.primary"}');
CREATE TABLE vp_turn_minutes (
	vp_id VARCHAR NOT NULL, 
	reason VARCHAR NOT NULL, 
	minute TEXT NOT NULL, 
	count INTEGER NOT NULL, 
	PRIMARY KEY (vp_id, reason, minute)
);
CREATE INDEX ix_missions_blocked ON vp_missions (updated_at) WHERE state = 'blocked';
CREATE INDEX ix_missions_claim ON vp_missions (vp_id, claim_key, position) WHERE state = 'queued';
CREATE INDEX ix_missions_held ON vp_missions (vp_id) WHERE holder = 'lane';
CREATE INDEX ix_missions_lane ON vp_missions (vp_id, position);
CREATE INDEX ix_missions_parent ON vp_missions (parent_mission_id) WHERE parent_mission_id IS NOT NULL;
CREATE INDEX ix_missions_parked ON vp_missions (position) WHERE parked = 1;
CREATE INDEX ix_missions_queued_until ON vp_missions (ends_at) WHERE state = 'queued';
CREATE INDEX ix_missions_running ON vp_missions (updated_at) WHERE state = 'running';
CREATE INDEX ix_mission_events_claims ON vp_mission_events (vp_id, emitted_at) WHERE type = 'vp.mission.accepted';
CREATE INDEX ix_mission_events_lane ON vp_mission_events (vp_id, position);
CREATE UNIQUE INDEX ux_mission_events_key ON vp_mission_events (mission_id, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX ix_outbox_undelivered ON vp_outbox (mission_id) WHERE status = 'undelivered';
CREATE TRIGGER vp_missions_terminal BEFORE UPDATE ON vp_missions WHEN OLD.state IN ('cancelled', 'completed', 'failed', 'timed_out') BEGIN SELECT RAISE(ABORT, 'an ended mission never changes'); END;
CREATE TRIGGER vp_missions_attempt BEFORE UPDATE ON vp_missions WHEN NEW.attempt < OLD.attempt BEGIN SELECT RAISE(ABORT, 'an attempt never falls'); END;
CREATE TRIGGER vp_sessions_epoch BEFORE UPDATE ON vp_sessions WHEN NEW.lease_epoch < OLD.lease_epoch BEGIN SELECT RAISE(ABORT, 'an epoch never falls'); END;
CREATE TRIGGER vp_mission_events_immutable BEFORE UPDATE ON vp_mission_events BEGIN SELECT RAISE(ABORT, 'a ledger entry never changes'); END;
CREATE TRIGGER vp_session_events_immutable BEFORE UPDATE ON vp_session_events BEGIN SELECT RAISE(ABORT, 'a ledger entry never changes'); END;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('vp_session_events',2);
INSERT INTO "sqlite_sequence" VALUES('vp_missions',3);
INSERT INTO "sqlite_sequence" VALUES('vp_mission_events',7);
COMMIT;
