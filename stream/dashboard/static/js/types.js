// What the API answers, as the page reads it. schemas/snapshots.py says what each field means.

/**
 * @typedef {object} Kpi
 * @property {"count" | "mean" | "rate" | "score"} type
 * @property {number | null} value
 * @property {number | null} [previous] the same in the window before
 * @property {number | null} [low]
 * @property {number | null} [high]
 * @property {number} [level]
 * @property {number} [n]
 * @property {number} [numerator]
 * @property {number} [denominator]
 * @property {string} [of] the population
 * @property {number | null} [open]
 * @property {number | null} [ended]
 * @property {number | null} [p50]
 * @property {number | null} [p95]
 * @property {number | null} [with_open]
 * @property {number} [promoters]
 * @property {number} [passives]
 * @property {number} [detractors]
 * @property {number} [skipped]
 * @property {number | null} [rounded]
 * @property {boolean} [suspect]
 */

/**
 * @typedef {object} Completeness
 * @property {string} status
 * @property {number} partitions
 * @property {number} partitions_current
 * @property {string | null} slowest_progress
 * @property {number | null} lag_records
 * @property {number} late_records
 * @property {number} refused_records
 * @property {number} [lost_records]
 * @property {string | null} [held_by]
 */

/**
 * @typedef {object} SnapshotRecord
 * @property {string} site_id
 * @property {{name: string, kind: string, start: string | null, end: string}} window
 * @property {{dimension: string, value: string | null}} segment
 * @property {string} as_of
 * @property {number} sequence
 * @property {Completeness} completeness
 * @property {string} profile
 * @property {Record<string, Kpi>} kpis
 * @property {number} [truncated] of `(other)`: how many values there were
 * @property {Record<string, number>} [customers] state -> how many; of everything since the beginning only
 */

/**
 * @typedef {object} Header
 * @property {number} sequence
 * @property {string | null} as_of
 * @property {string} published_at
 * @property {Completeness} completeness
 * @property {Record<string, Record<string, number>>} positions records read, by topic and partition
 */

/**
 * @typedef {object} ServerState
 * @property {"complete" | "catching_up" | "partial" | "stale" | "unreachable" | "empty"} status
 * @property {number | null} age_ms
 * @property {string | null} as_of
 * @property {string} text
 * @property {string | null} what_to_do
 * @property {string} now
 */

/**
 * @typedef {object} Definition
 * @property {string} id
 * @property {string} label
 * @property {string} meaning one sentence
 * @property {string} unit
 * @property {string} formula
 * @property {string} source
 * @property {boolean | null} up_is_good
 * @property {string[]} windows
 * @property {string[]} dimensions
 */

/** @typedef {Record<string, Definition>} Registry */

/**
 * @typedef {object} Explanation
 * @property {string} kpi
 * @property {string} label
 * @property {string} meaning
 * @property {string} value
 * @property {string} formula
 * @property {string} counts
 * @property {string} interval
 * @property {string} before
 * @property {string} site
 * @property {string} segment
 * @property {string} window
 * @property {string} state of an hour or a day
 * @property {string} profile
 * @property {string} completeness
 * @property {string | null} held_by
 * @property {string[]} caveats
 * @property {string} source
 */

/**
 * One survey answer, by nobody in particular.
 * @typedef {object} Score
 * @property {string} answered_at
 * @property {string} survey_id
 * @property {string} survey_kind
 * @property {number} score
 * @property {number} scale_min
 * @property {number} scale_max
 * @property {string} says
 * @property {string | null} channel
 * @property {string | null} campaign
 * @property {string | null} device
 * @property {string | null} country
 * @property {string | null} plan
 */

/**
 * A change of a customer's state.
 * @typedef {object} Signal
 * @property {string} changed_at
 * @property {string} customer_id
 * @property {number} transition counts the customer's signals
 * @property {string} previous_state
 * @property {string} state
 * @property {string} cause
 * @property {number} health_score
 * @property {boolean} is_high_value
 * @property {string | null} reason the main one, in words
 */

/**
 * A series of an alert rule.
 * @typedef {object} StandingAlert
 * @property {"firing" | "pending" | "resolved"} standing
 * @property {string} since
 * @property {string} site_id
 * @property {string} rule
 * @property {{dimension: string, value: string | null}} segment
 * @property {{severity: string, summary: string, reasons: string[]} | null} alert the newest that told a change
 */

/**
 * What one stream has told so far.
 * @typedef {object} View
 * @property {Map<string, SnapshotRecord>} records
 * @property {Header | null} header
 * @property {ServerState | null} state
 * @property {string[]} sites
 * @property {string[]} dimensions
 * @property {string} query what the records are the answer to; '' before the first
 * @property {number} heardAt when the server was heard last, by this page's own clock (performance.now)
 * @property {string | null} problem why there is no stream, in a sentence
 */

/**
 * How far the numbers may be trusted at this moment.
 * @typedef {object} Freshness
 * @property {"connecting" | "complete" | "catching_up" | "partial" | "stale" | "unreachable" | "empty" | "lost"} status
 * @property {boolean} current whether the numbers are those of now, all of them
 * @property {number | null} ageMs
 * @property {string} text
 * @property {string | null} whatToDo
 */

/**
 * @typedef {object} Choice what the address says
 * @property {string} site '' for `default`, else the first there is
 * @property {string} window
 * @property {string} dimension of the table of visits
 * @property {string} clicks dimension of the click-through table
 * @property {string} answers window of the survey answers
 * @property {boolean} wall
 */

export {};
