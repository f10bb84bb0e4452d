// Looks for what Linux does otherwise: makes random scripts that only stimulate, runs each against our stack in virtual time and against the
// running kernel, and compares what both sent and what tcp_info said.
//   dotnet run -c Release --project eng/explore -- [--seed N] [--count N] [--jobs N] [--kind NAME] [--folder PATH] [--show]
// Or with --scripts FOLDER [--quiet | --both]: those instead, --both with the traces of all. --windows compares receive windows too.
// Needs root, for the kernel. Differences are written to the folder as scripts with both traces; --show prints the scripts of seeds instead.
using System.Globalization;
using System.Text;
using Peregrine.Scripting;
using Peregrine.Scripting.Explorer;

var settings = new Dictionary<string, string>();
for (var i = 0; i < args.Length; i++)
{
    var name = args[i].TrimStart('-');
    settings[name] = name is "show" or "quiet" or "both" or "windows" ? "1" : args[++i];
}
int Number(string name, int usual) => settings.TryGetValue(name, out var text) ? int.Parse(text, CultureInfo.InvariantCulture) : usual;
var (seed, count, jobs) = (Number("seed", 1), Number("count", 40), Number("jobs", 6));
var folder = settings.GetValueOrDefault("folder", "artifacts/explore");
var kind = settings.GetValueOrDefault("kind", "");
Stimuli Make(int number) => Exchanges.Has(kind) ? new Exchanges(number, kind).Make() : new Generator(number, kind).Make();
Comparison.ComparesWindows = settings.ContainsKey("windows");
if (settings.TryGetValue("scripts", out var shown) && settings.ContainsKey("both"))
{
    foreach (var path in ScriptSuite.Find(shown)) Console.WriteLine($"{path}\n{string.Join('\n', Comparison.Both(File.ReadAllText(path)))}");
    return 0;
}
if (settings.TryGetValue("scripts", out var given))
{
    var found = 0;
    Parallel.ForEach(ScriptSuite.Find(given), new ParallelOptions { MaxDegreeOfParallelism = jobs }, path =>
    {
        var script = File.ReadAllText(path);
        if (Comparison.Ours(script).Detail is var outcome && !outcome.StartsWith("Passed", StringComparison.Ordinal)) Console.WriteLine($"{path}: {outcome}");
        if (Comparison.Of(script) is not { } difference) return;
        Interlocked.Increment(ref found);
        var text = $"{path}: {difference.What}\n" + (settings.ContainsKey("quiet") ? "" : string.Join('\n', difference.Lines) + "\n");
        lock (settings) Console.Write(text);
    });
    Console.WriteLine($"{found} with a difference");
    return found == 0 ? 0 : 1;
}
if (settings.ContainsKey("show"))
{
    for (var i = 0; i < count; i++) Console.WriteLine(Make(seed + i).Text);
    return 0;
}
Directory.CreateDirectory(folder);
var different = 0;
Parallel.For(seed, seed + count, new ParallelOptions { MaxDegreeOfParallelism = jobs }, one =>
{
    var script = Make(one);
    var found = Comparison.Of(script.Text);
    if (found is null) return;
    Interlocked.Increment(ref different);
    var report = new StringBuilder();
    report.AppendLine($"// seed {one} {script.Kind}: {found.What}").AppendLine(script.Text).AppendLine("// --- ours | kernel");
    foreach (var line in found.Lines) report.AppendLine("// " + line);
    var path = Path.Combine(folder, $"{script.Kind}-{one}.txt");
    File.WriteAllText(path, report.ToString());
    Console.WriteLine($"{path}: {found.What}");
});
Console.WriteLine($"{count} scripts, {different} with a difference, {Comparison.Uncompared} not compared");
return different == 0 ? 0 : 1;
