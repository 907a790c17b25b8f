// Runs, but never listens.
console.log('I am here, but I do not listen')
setInterval(() => {}, 60_000)
