// Finds a retry bug under a partition: a POST whose answer was lost is sent again, and done twice. Looks through seeds until one shows it, replays that seed,
// and shows that the repaired client is right under every one. Needs no privilege. With a seed as argument it tells only that seed's story.
using RetryUnderPartition;

if (args.Length > 0)
{
    Console.Write((await Trial.RunAsync(ulong.Parse(args[0]), sendsKeys: false)).Story);
    return 0;
}

const ulong SeedCountMax = 50;
for (var seed = 1UL; seed <= SeedCountMax; seed++)
{
    var trial = await Trial.RunAsync(seed, sendsKeys: false);
    if (trial.IsRight) continue;

    var twice = trial.Booked.GroupBy(static order => order).First(static orders => orders.Count() > 1).Key;
    Console.WriteLine($"seed {seed}: {trial.Placed.Count} orders were placed and {trial.Booked.Count} booked; {twice} twice:");
    foreach (var line in trial.Story.Split('\n').Where(line => line.Contains(twice + ":") || line.Contains("--"))) Console.WriteLine(line);

    var again = await Trial.RunAsync(seed, sendsKeys: false);
    Console.WriteLine(again.Story == trial.Story ? "the same seed again: the same story, to the microsecond" : "the same seed again: ANOTHER story");

    var wrong = 0;
    for (var other = 1UL; other <= SeedCountMax; other++) wrong += (await Trial.RunAsync(other, sendsKeys: true)).IsRight ? 0 : 1;
    Console.WriteLine($"with idempotency keys: {SeedCountMax} seeds, {wrong} of them wrong");
    return again.Story == trial.Story && wrong == 0 ? 0 : 1;
}
Console.WriteLine($"no bug in {SeedCountMax} seeds");
return 1;
