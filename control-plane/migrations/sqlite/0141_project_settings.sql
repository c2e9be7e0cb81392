-- Settings of a project. A later pipeline of a branch cancels the earlier ones that were submitted from `auto_cancel_ms` on;
-- null: none. Never on the default branch.
CREATE TABLE project_settings (
    project TEXT PRIMARY KEY,
    default_branch TEXT NOT NULL,
    auto_cancel_ms INTEGER
);
