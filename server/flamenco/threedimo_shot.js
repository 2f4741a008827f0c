// SPDX-License-Identifier: Apache-2.0
// A Flamenco job type: a list of shots, one task a shot, each made by `threedimo generate` on a worker.
//
// The list is what `threedimo batch` takes. A worker needs the command `threedimo` (Flamenco's variable
// {threedimo} names it) and, but for the embedded model, a running `threedimo serve`. A task that is run again
// replaces its shot; the exit code of a task that fails says why (`threedimo --help` lists them).

const JOB_TYPE = {
    label: "3DiMo shots",
    description: "Characters that perform driving footage under given cameras, one task a shot",
    settings: [
        { key: "shots", type: "string", required: true,
          description: "The list as JSON, as `threedimo batch --help` shows it" },
        { key: "folder", type: "string", subtype: "dir_path", required: true,
          description: "What the paths in the list are relative to; every worker must see it" },
        { key: "output", type: "string", subtype: "dir_path", required: true,
          description: "Each shot gets a folder of its name in here" },
        { key: "server", type: "string", default: "",
          description: "Address or connection file of the server; empty means the worker's own" },
        { key: "threedimo", type: "string", default: "{threedimo}", visible: "hidden",
          description: "The command on the workers" },
    ],
};

// Fields of a shot, the options that they become, and whether they are paths or switches.
const OPTIONS = [
    { field: "reference", option: "--reference", isPath: true },
    { field: "drive", option: "--drive", isPath: true },
    { field: "drive_fps", option: "--drive-fps" },
    { field: "drive_start", option: "--drive-start" },
    { field: "camera_path", option: "--camera-path", isPath: true },
    { field: "text", option: "--text" },
    { field: "frames", option: "--frames" },
    { field: "fps", option: "--fps" },
    { field: "follow_person", option: "--follow-person", isSwitch: true },
    { field: "size", option: "--size" },
    { field: "steps", option: "--steps" },
    { field: "preset", option: "--preset" },
    { field: "step_cache", option: "--step-cache" },
    { field: "seed", option: "--seed" },
];
const NAME = /^[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}$/;

function compileJob(job) {
    const settings = job.settings;
    for (const shot of readShots(settings.shots)) {
        const task = author.Task(shot.name, "misc");
        task.addCommand(author.Command("exec", { exe: settings.threedimo, args: commandLine(shot, settings) }));
        job.addTask(task);
    }
}

function commandLine(shot, settings) {
    const args = ["generate", "--output", joined(settings.output, shot.name), "--overwrite"];
    for (const { field, option, isPath, isSwitch } of OPTIONS) {
        if (shot[field] === undefined || shot[field] === null) {
            continue;
        }
        const values = Array.isArray(shot[field]) ? shot[field] : [shot[field]];
        if (isSwitch) {
            args.push(...(shot[field] ? [option] : []));
        } else if (isPath) {
            args.push(option, ...values.map((value) => joined(settings.folder, value)));
        } else {
            // one word, so that a text which begins with a dash is no option
            args.push(`${option}=${values[0]}`);
        }
    }
    return settings.server ? [...args, `--server=${settings.server}`] : args;
}

function readShots(text) {
    const list = JSON.parse(text);
    if (list === null || typeof list !== "object" || !Array.isArray(list.shots) || list.shots.length === 0) {
        throw new Error('the list of shots is not {"shots": [...]} with a shot in it');
    }
    const known = new Set(["name", ...OPTIONS.map(({ field }) => field)]);
    const names = new Set();
    for (const shot of list.shots) {
        const name = String(shot.name);
        if (!NAME.test(name)) {
            throw new Error(`"${name}" is no name of a shot: letters, digits, _ . - and at most 100 of them`);
        }
        if (names.has(name.toLowerCase())) {
            throw new Error(`two shots are called "${name}"`);
        }
        names.add(name.toLowerCase());
        const strangers = Object.keys(shot).filter((field) => !known.has(field));
        if (strangers.length > 0) {
            throw new Error(`shot ${name} has an unknown field "${strangers[0]}"`);
        }
        if (!shot.reference || !shot.drive || shot.drive.length === 0) {
            throw new Error(`shot ${name} lacks reference or drive`);
        }
    }
    return list.shots;
}

// Workers may run another system than the manager: both kinds of absolute paths are left as they are.
function joined(folder, path) {
    const isAbsolute = /^([/\\]|[A-Za-z]:[/\\])/.test(path);
    return isAbsolute ? path : `${folder.replace(/[/\\]+$/, "")}/${path}`;
}
