// Loads a Flamenco job type as the manager does, without modules, and prints the tasks of a job as JSON.
// node compile_job.js JOB_TYPE.js SETTINGS
const fs = require("fs");
const vm = require("vm");

const [script, given] = process.argv.slice(2);
const tasks = [];
const host = {
    author: {
        Task: (name, type) => ({ name, type, commands: [], addCommand(command) { this.commands.push(command); } }),
        Command: (name, parameters) => ({ name, parameters }),
    },
};
vm.createContext(host);
vm.runInContext(fs.readFileSync(script, "utf8") + "\nthis.JOB_TYPE = JOB_TYPE; this.compileJob = compileJob;", host);
const settings = {};
for (const setting of host.JOB_TYPE.settings) {
    settings[setting.key] = setting.default;
}
try {
    host.compileJob({ settings: Object.assign(settings, JSON.parse(given)), addTask: (task) => tasks.push(task) });
} catch (error) {
    console.error(error.message);
    process.exit(1);
}
console.log(JSON.stringify(tasks));
