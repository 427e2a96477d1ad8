// @ts-check
/**
 * Shapes that pass between the modules and the server. Coordinates are full-size pixels of the micrograph:
 * x along columns, y along rows, (0, 0) the middle of the first pixel of the first row.
 *
 * @typedef {"complete" | "empty" | "excluded" | null} Flag
 *
 * @typedef {object} Row one micrograph of the list
 * @property {string} id
 * @property {string} name
 * @property {number} labels
 * @property {Flag} flag
 * @property {boolean} seen
 * @property {string} error
 *
 * @typedef {[number, number, Flag | string | number, ...any[]]} RawRow
 *
 * @typedef {object} Settings
 * @property {boolean} filaments whether the labels are filaments; else they are particles
 * @property {number | null} box_size_px of a label, or the width of a filament
 * @property {number | null} pixel_size
 * @property {number} threshold
 * @property {number} minimum_distance_px
 * @property {number} smallest_px
 * @property {number} largest_px
 * @property {string | null} pick_set
 * @property {Record<string, ClassChoice>} class_choices by set of picks
 * @property {Record<string, any>} view
 *
 * @typedef {object} ClassChoice which classes the user finds good
 * @property {string} key of the classes
 * @property {number[]} good
 * @property {boolean} cull only picks of good classes are shown, counted and exported
 *
 * @typedef {object} SheetAnswer one micrograph with its labels, as the server has it
 * @property {string} id
 * @property {string} name
 * @property {Flag} flag
 * @property {string} error
 * @property {number} box_size_px
 * @property {number} next_number
 * @property {[number, number] | null} shape rows, columns
 * @property {number | null} pixel_size
 * @property {[number, number, number][]} labels
 * @property {[number, [number, number][]][]} areas
 * @property {[number, number, number][]} rejected
 * @property {[number, [number, number][]][]} lines labelled filaments
 * @property {number} revision
 * @property {number} can_undo
 * @property {number} can_redo
 *
 * @typedef {object} Change one edit, as it is sent
 * @property {[number, number, number][]} [add]
 * @property {number[]} [remove]
 * @property {[number, number, number][]} [move]
 * @property {[number, [number, number][]][]} [add_areas]
 * @property {number[]} [remove_areas]
 * @property {[number, number, number][]} [reject]
 * @property {number[]} [unreject]
 * @property {[number, [number, number][]][]} [add_lines]
 * @property {number[]} [remove_lines]
 * @property {[number, [number, number][]][]} [bend] what a filament becomes
 *
 * @typedef {object} Pick
 * @property {number} x
 * @property {number} y
 * @property {number} size what the network saw
 * @property {number} confidence
 * @property {number} [group] its class; 0: none
 * @property {[number, number][]} [line] of a traced filament; its place is then the middle
 *
 * @typedef {object} OneClass
 * @property {number} number
 * @property {number} n_particles
 * @property {number} share
 * @property {string} guess
 * @property {number | null} resolution_px
 * @property {number | null} resolution_angstrom
 * @property {number | null} mean_confidence
 *
 * @typedef {object} ClassesAnswer
 * @property {string} key empty: there are none
 * @property {OneClass[]} classes
 * @property {number} n_particles
 * @property {number | null} threshold
 * @property {string[]} failures
 * @property {string} contrast what was done about contrast transfer
 * @property {number} side_px of an average in the picture
 * @property {number} columns of the picture
 *
 * @typedef {object} PickSetAnswer
 * @property {string} id
 * @property {string} title
 * @property {number | null} threshold
 *
 * @typedef {object} Job
 * @property {string} run
 * @property {string} kind
 * @property {string} stage
 * @property {string} message
 * @property {number} step
 * @property {number} steps
 * @property {number} done
 * @property {number} total
 * @property {string} words what is done now, where the stage does not say it
 * @property {[number, number][]} losses
 * @property {Record<string, number>[]} rows
 * @property {boolean} running
 * @property {number} seconds
 *
 * @typedef {object} Run
 * @property {string} id
 * @property {string} kind
 * @property {string} title
 * @property {string} outcome
 * @property {string} message
 * @property {boolean} has_model
 * @property {boolean} has_picks
 * @property {number | null} threshold
 * @property {Record<string, number> | null} validation
 *
 * @typedef {object} Machine
 * @property {string} default
 * @property {{name: string, description: string, threshold: number}[]} released
 * @property {string} device
 * @property {number} threads
 *
 * @typedef {object} Status
 * @property {Job | null} job
 * @property {Machine | null} machine
 * @property {Run[]} runs
 * @property {PickSetAnswer[]} pick_sets
 * @property {string | null} pick_set
 * @property {number} threshold
 * @property {number} n_picked
 * @property {number} [changes] how many there were
 * @property {any[][]} [rows] those of micrographs that changed since
 * @property {Record<string, number | null>} [revisions]
 * @property {Settings | null} [settings] where they changed since
 *
 * @typedef {object} ProjectAnswer
 * @property {string} out
 * @property {boolean} read_only
 * @property {Settings} settings
 * @property {any[][]} micrographs
 * @property {string} version
 * @property {{name: string, description: string}[]} formats
 * @property {Record<string, {steps: number}>} efforts
 * @property {number} rejected_boxes
 */

export {};
