// Ends at once, saying why.
console.error('cannot find the database')
process.exit(3)
