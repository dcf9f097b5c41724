//! The roles of principals: on the server, and in a project.

named_enum! {
    /// A role on the server itself.
    pub enum ServerRole {
        /// Reads everything, including the audit log, and changes nothing.
        Auditor = "auditor",
        /// Runs the server; has all rights in all projects.
        Admin = "admin",
    }
}

named_enum! {
    /// A role in a project. Each role includes the roles before it.
    pub enum ProjectRole {
        /// Reads scans and their results.
        Viewer = "viewer",
        /// Submits passive scans, and cancels scans.
        Scanner = "scanner",
        /// Submits active scans, and deletes scans.
        Operator = "operator",
        /// Manages the members and the clearances of targets.
        Owner = "owner",
    }
}
