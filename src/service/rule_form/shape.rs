//! Which fields a form of the rules has.
//!
//! The names are the keys of the catalog file, so that what a form says and what a file says is one thing.

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An application.
    Application,
    /// A role.
    Role,
    /// An access profile.
    Profile,
    /// An approval procedure.
    Procedure,
    /// An access policy.
    Policy,
    /// Roles that must not be held together.
    Separation,
}

impl Kind {
    /// Every kind: its word in addresses and files, its name, and that of several.
    pub const ALL: [(Kind, &'static str, &'static str, &'static str); 6] = [
        (Self::Application, "application", "Application", "Applications"),
        (Self::Role, "role", "Role", "Roles"),
        (Self::Profile, "profile", "Access profile", "Access profiles"),
        (Self::Procedure, "procedure", "Approval procedure", "Approval procedures"),
        (Self::Policy, "policy", "Access policy", "Access policies"),
        (Self::Separation, "separation", "Separation of duties", "Separation of duties"),
    ];

    /// The kind of a word; none for any other text.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known, ..)| *known == word).map(|(kind, ..)| *kind)
    }

    fn row(self) -> (&'static str, &'static str, &'static str) {
        Self::ALL.iter().find(|(kind, ..)| *kind == self).map_or(("", "", ""), |(_, word, one, many)| (*word, *one, *many))
    }

    /// Its word: `role`.
    pub fn word(self) -> &'static str {
        self.row().0
    }

    /// "Access profile".
    pub fn one(self) -> &'static str {
        self.row().1
    }

    /// "Access profiles".
    pub fn many(self) -> &'static str {
        self.row().2
    }

    /// Its form.
    pub fn sections(self) -> &'static [Section] {
        match self {
            Self::Application => APPLICATION,
            Self::Role => ROLE,
            Self::Profile => PROFILE,
            Self::Procedure => PROCEDURE,
            Self::Policy => POLICY,
            Self::Separation => SEPARATION,
        }
    }
}

/// Fields that belong together, under a heading.
#[derive(Clone, Copy, Debug)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// What to know about them.
    pub note: &'static str,
    /// The fields.
    pub fields: &'static [Field],
}

/// One field.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its key in the file.
    pub name: &'static str,
    /// What people read.
    pub label: &'static str,
    /// What to write; empty when the label says it.
    pub hint: &'static str,
    /// What it takes.
    pub takes: Takes,
}

/// What a field takes, and so how it is written.
#[derive(Clone, Copy, Debug)]
pub enum Takes {
    /// The key of the entry: it is chosen once.
    Key,
    /// A line that must not be empty.
    Line,
    /// A line that may be empty, and is then left out.
    Free,
    /// Lines of text, left out when empty.
    Paragraph,
    /// Yes or no.
    Flag,
    /// A whole number, left out when empty.
    Number,
    /// A duration like `4h`; when empty it is left out, or written as this.
    Duration(Option<&'static str>),
    /// Durations with commas between them.
    Durations,
    /// A list of texts, one a line.
    Lines,
    /// Some of the risks.
    Risks,
    /// One of these words, each with what people read.
    Choice(&'static [(&'static str, &'static str)]),
    /// The key of an entry of this kind.
    Pick(Kind, Empty),
    /// Fields of a table of their own.
    Part(&'static [Field], Written),
    /// The same fields any number of times.
    Rows(&'static Rows),
}

/// Whether a key may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// It must be there.
    Never,
    /// It is left out; this is what people read.
    Said(&'static str),
}

/// When a part is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Always.
    Always,
    /// When one of its fields says something.
    IfAny,
    /// When its field `on` is ticked; that one is not written.
    IfOn,
}

/// Fields that come any number of times.
#[derive(Clone, Copy, Debug)]
pub struct Rows {
    /// What one of them is: "step".
    pub one: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
    /// How they are written.
    pub form: RowForm,
    /// Whether their order means something.
    pub ordered: bool,
    /// Whether none at all is written too, as an empty list.
    pub even_none: bool,
}

/// How rows are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowForm {
    /// As tables of their own.
    Tables,
    /// As tables called by their field `effect`.
    Effects,
    /// As conditions, a line each.
    Conditions,
    /// As approver sources, a line each.
    Sources,
    /// As policies with or without a priority, a line each.
    Bindings,
}

const fn field(name: &'static str, label: &'static str, hint: &'static str, takes: Takes) -> Field {
    Field { name, label, hint, takes }
}

/// What is compared, with the word of each comparison.
pub const OPERATORS: &[(&str, &str)] = &[
    ("is", "is"),
    ("is_not", "is not"),
    ("in", "is one of"),
    ("not_in", "is none of"),
    ("contains", "contains"),
    ("starts_with", "starts with"),
    ("exists", "exists"),
    ("not_exists", "does not exist"),
    ("member_of", "include (groups)"),
    ("not_member_of", "do not include (groups)"),
    ("reports_to", "reports to"),
];

const CONDITION: &[Field] = &[
    field("attribute", "Attribute", "", Takes::Line),
    field("operator", "Comparison", "", Takes::Choice(OPERATORS)),
    field("values", "Values", "Several with commas; \"one, with a comma\" in quotes.", Takes::Free),
];
const CONDITIONS: Rows = Rows { one: "condition", fields: CONDITION, form: RowForm::Conditions, ordered: false, even_none: false };
const CONDITIONS_OR_NONE: Rows = Rows { even_none: true, ..CONDITIONS };

const SOURCE: &[Field] = &[
    field(
        "source",
        "Who",
        "",
        Takes::Choice(&[
            ("manager", "The manager"),
            ("managers_manager", "The manager’s manager"),
            ("application_owner", "The application owner"),
            ("role_owner", "The role owner"),
            ("group", "Members of the group"),
            ("person", "The person"),
        ]),
    ),
    field("called", "Name", "The group, or the person’s login; for these two only.", Takes::Free),
];
const SOURCES: Rows = Rows { one: "source", fields: SOURCE, form: RowForm::Sources, ordered: true, even_none: false };

const BINDING: &[Field] =
    &[field("policy", "Policy", "", Takes::Pick(Kind::Policy, Empty::Never)), field("priority", "Priority", "Empty: by its place in the list.", Takes::Number)];
const BINDINGS: Rows = Rows { one: "policy", fields: BINDING, form: RowForm::Bindings, ordered: true, even_none: false };

const KEY: Field = field("key", "Key", "Lower-case letters, digits and dashes. It cannot be changed later.", Takes::Key);
const NAME: Field = field("name", "Name", "", Takes::Line);
const DESCRIPTION: Field = field("description", "Description", "", Takes::Paragraph);
const RISKS: Field = field("risk", "Risk of the role", "None ticked: any.", Takes::Risks);
const LONGER: Field = field("longer_than", "Asked for longer than", "Like 4h or 2d; empty: any length.", Takes::Duration(None));

const APPLICATION: &[Section] = &[
    Section { title: "The application", note: "", fields: &[KEY, NAME, DESCRIPTION, field("owner", "Owner", "Login in the directory.", Takes::Line)] },
    Section {
        title: "Policies of its roles",
        note: "The first that is for the person governs. None: the default policies.",
        fields: &[field("policies", "Policies", "", Takes::Rows(&BINDINGS))],
    },
];

const ROLE: &[Section] = &[
    Section {
        title: "The role",
        note: "",
        fields: &[
            field("application", "Application", "", Takes::Pick(Kind::Application, Empty::Never)),
            KEY,
            NAME,
            DESCRIPTION,
            field("owner", "Owner", "Login in the directory; empty: the application’s owner.", Takes::Free),
            field("risk", "Risk", "", Takes::Choice(&[("low", "Low"), ("elevated", "Elevated"), ("critical", "Critical")])),
        ],
    },
    Section {
        title: "What gives it",
        note: "",
        fields: &[
            field("group", "Group", "Name or reference of the group in the directory whose members have the role.", Takes::Line),
            field("directory", "Directory", "Empty: the one that is connected.", Takes::Free),
            field(
                "drift",
                "Members without a grant",
                "What happens when somebody is found in the group whom no grant explains. Who was there at the first comparison is left alone.",
                Takes::Choice(&[("alert", "Say so; people act"), ("remove", "Take them out"), ("adopt", "Ask for a grant for them")]),
            ),
        ],
    },
    Section {
        title: "Policies",
        note: "The first that is for the person governs. None: those of the application.",
        fields: &[field("policies", "Policies", "", Takes::Rows(&BINDINGS))],
    },
];

const PROFILE: &[Section] = &[
    Section { title: "The profile", note: "", fields: &[KEY, NAME] },
    Section {
        title: "Rules",
        note: "All conditions of a rule must hold. One rule that allows is enough; one that denies beats them all. A rule without conditions is for everybody.",
        fields: &[field(
            "rules",
            "Rules",
            "",
            Takes::Rows(&Rows {
                one: "rule",
                fields: &[
                    field("effect", "It", "", Takes::Choice(&[("allow", "lets people ask"), ("deny", "keeps people out")])),
                    field("all", "Conditions", "", Takes::Rows(&CONDITIONS_OR_NONE)),
                ],
                form: RowForm::Effects,
                ordered: false,
                even_none: false,
            }),
        )],
    },
];

const PROCEDURE: &[Section] = &[
    Section {
        title: "The procedure",
        note: "",
        fields: &[
            KEY,
            NAME,
            field("distinct_people", "One person counts once in a request", "", Takes::Flag),
            field("reassign", "Who is asked may hand it on", "", Takes::Flag),
        ],
    },
    Section {
        title: "Steps",
        note: "One after the other. Within a step all slots are asked at the same time, and all must be filled.",
        fields: &[field("step", "Steps", "", Takes::Rows(&Rows { one: "step", fields: STEP, form: RowForm::Tables, ordered: true, even_none: false }))],
    },
];

const STEP: &[Field] = &[
    NAME,
    field(
        "slots",
        "Slots",
        "",
        Takes::Rows(&Rows {
            one: "slot",
            fields: &[
                field("approvals", "Approvals needed", "", Takes::Number),
                field("from", "From the first of these who is somebody", "", Takes::Rows(&SOURCES)),
            ],
            form: RowForm::Tables,
            ordered: false,
            even_none: false,
        }),
    ),
    field(
        "when",
        "Only when",
        "Nothing: always.",
        Takes::Part(&[field("conditions", "Conditions", "", Takes::Rows(&CONDITIONS)), RISKS, LONGER], Written::IfAny),
    ),
    field("time_limit", "Time limit", "Like 2d; empty: it waits.", Takes::Duration(None)),
    field("remind_every", "Reminder every", "Like 8h; empty: none.", Takes::Duration(None)),
    field(
        "escalate",
        "Escalation",
        "After the time limit these are asked too. Nobody: the request times out.",
        Takes::Part(
            &[
                field("to", "To the first of these who is somebody", "", Takes::Rows(&SOURCES)),
                field("time_limit", "For how much longer", "Like 1d; empty: it waits.", Takes::Duration(None)),
            ],
            Written::IfAny,
        ),
    ),
];

const POLICY: &[Section] = &[
    Section {
        title: "The policy",
        note: "",
        fields: &[
            KEY,
            NAME,
            field("for", "For people with", "Where a role has several policies. No condition: for everybody.", Takes::Rows(&CONDITIONS)),
            field("profile", "Who may ask", "The access profile.", Takes::Pick(Kind::Profile, Empty::Never)),
        ],
    },
    Section {
        title: "Who decides",
        note: "",
        fields: &[
            field("procedure", "Approval procedure", "", Takes::Pick(Kind::Procedure, Empty::Said("None"))),
            field("auto_approve", "Nobody is asked: who may ask is approved at once", "Instead of a procedure.", Takes::Flag),
            field("comment_to_deny", "A denial must give a reason", "", Takes::Flag),
            field(
                "auto",
                "Rules that decide without asking anybody",
                "",
                Takes::Rows(&Rows { one: "auto rule", fields: AUTO, form: RowForm::Tables, ordered: false, even_none: false }),
            ),
        ],
    },
    Section {
        title: "For how long",
        note: "Durations are written like 90m, 4h, 1d12h or 2w.",
        fields: &[
            field(
                "durations",
                "Length",
                "",
                Takes::Part(
                    &[
                        field("recommended", "Suggested", "Empty: nothing is.", Takes::Duration(None)),
                        field("minimum", "Shortest", "Empty: 15 minutes, or the shortest that is offered.", Takes::Duration(None)),
                        field("maximum", "Longest", "", Takes::Duration(None)),
                        field("choices", "Offered", "With commas; empty: the suggested one and the longest.", Takes::Durations),
                        field("indefinite", "Also without end", "", Takes::Flag),
                    ],
                    Written::Always,
                ),
            ),
            field("future_start", "A start may lie ahead by", "Like 30d; empty: not at all.", Takes::Duration(Some("false"))),
        ],
    },
    Section {
        title: "What must be said",
        note: "",
        fields: &[
            field("justification", "Justification", "", Takes::Part(JUSTIFICATION, Written::Always)),
            field("ticket", "Ticket reference", "", Takes::Part(TICKET, Written::Always)),
            field("field", "Fields of its own", "", Takes::Rows(&Rows { one: "field", fields: FIELD, form: RowForm::Tables, ordered: true, even_none: false })),
        ],
    },
    Section {
        title: "When somebody no longer meets it",
        note: "Who holds a role and moves to another department, say. They and the role’s owner are told at once.",
        fields: &[
            field("eligibility_lost", "Their access", "", Takes::Choice(&[("revoke", "ends after the grace"), ("keep", "stays")])),
            field("eligibility_grace", "Grace", "Like 7d, which it is when empty; only for what ends.", Takes::Duration(None)),
        ],
    },
    Section {
        title: "More time, others, emergencies",
        note: "",
        fields: &[
            field(
                "extension",
                "Extension",
                "",
                Takes::Part(
                    &[
                        field("on", "Access can be extended", "", Takes::Flag),
                        field("maximum", "For at most", "Like 7d; empty: the policy’s longest.", Takes::Duration(None)),
                        field("last_percent", "In the last so many percent of the period", "Empty: 50.", Takes::Number),
                        field("most", "Times in a row", "Empty: as often as it is approved.", Takes::Number),
                        field("procedure", "Approval procedure", "", Takes::Pick(Kind::Procedure, Empty::Said("As the first time"))),
                    ],
                    Written::IfOn,
                ),
            ),
            field(
                "on_behalf",
                "Asking for others",
                "",
                Takes::Part(
                    &[
                        field("manager", "Managers may ask for those who report to them", "", Takes::Flag),
                        field("owner", "Owners of the role or application may ask for anybody", "", Takes::Flag),
                        field("confirm", "The person it is for must confirm it", "", Takes::Flag),
                    ],
                    Written::IfAny,
                ),
            ),
            field(
                "emergency",
                "Emergency",
                "Access at once, reviewed afterwards. Both empty: not offered.",
                Takes::Part(
                    &[
                        field("maximum", "For at most", "Like 1h.", Takes::Duration(None)),
                        field("review_within", "Reviewed within", "Like 1d.", Takes::Duration(None)),
                    ],
                    Written::IfAny,
                ),
            ),
        ],
    },
];

const JUSTIFICATION: &[Field] = &[
    field("required", "Required", "", Takes::Flag),
    field("minimum", "At least so many characters", "", Takes::Number),
    field("pattern", "Must match", "A regular expression for the whole text.", Takes::Free),
    field("says", "Else people read", "A sentence, for a text that does not match.", Takes::Free),
];
const TICKET: &[Field] = &[
    field("required", "Required", "", Takes::Flag),
    field("minimum", "At least so many characters", "", Takes::Number),
    field("prefix", "Begins with", "Like OPS-; instead of a pattern.", Takes::Free),
    field("pattern", "Must match", "A regular expression for the whole text.", Takes::Free),
    field("says", "Else people read", "A sentence, for a text that does not match.", Takes::Free),
];
const AUTO: &[Field] = &[
    NAME,
    field("then", "It", "", Takes::Choice(&[("approve", "approves"), ("deny", "denies")])),
    field("all", "Conditions", "", Takes::Rows(&CONDITIONS)),
    RISKS,
    field("at_most", "Asked for at most", "Like 2h; empty: any length.", Takes::Duration(None)),
    LONGER,
];
const FIELD: &[Field] = &[
    field("key", "Key", "Lower-case letters, digits and underscores.", Takes::Line),
    field("label", "Label", "", Takes::Line),
    field("help", "Help", "", Takes::Free),
    field("type", "Type", "", Takes::Choice(&[("text", "Text"), ("choice", "Choice"), ("date", "Date"), ("number", "Number"), ("yes_no", "Yes or no")])),
    field("required", "Required", "", Takes::Flag),
    field("minimum", "Least", "For a number.", Takes::Number),
    field("maximum", "Most", "For a number; for a text, characters.", Takes::Number),
    field("choices", "Choices", "For a choice: one a line.", Takes::Lines),
];

const SEPARATION: &[Section] = &[Section {
    title: "The rule",
    note: "Nobody holds a role of the one side together with a role of the other.",
    fields: &[
        KEY,
        NAME,
        field("a", "One side", "One application/role a line.", Takes::Lines),
        field("b", "Other side", "One application/role a line.", Takes::Lines),
        field("procedure", "Exceptions by", "", Takes::Pick(Kind::Procedure, Empty::Said("None: nobody holds both"))),
    ],
}];
