// Two traces of one script side by side. What packets say is compared in order; times within a kernel's ticks; calls and tcp_info apart, since
// a call's return and the packets that it sent are seen in no certain order.
using System.Globalization;
using System.Text.RegularExpressions;

namespace Peregrine.Scripting.Explorer;

/// <summary>A difference: what it is, and both traces.</summary>
internal sealed record Difference(string What, IReadOnlyList<string> Lines);

internal static partial class Comparison
{
    private const int Tries = 4;

    /// <summary>A kernel's timers are as coarse as its ticks, and an eighth coarser the longer they run.</summary>
    private const double ToleranceSeconds = 0.014, ToleranceShare = 0.14;

    /// <summary>The script's own events may be so late before a difference says nothing.</summary>
    private const double LatenessSecondsMax = 0.005;

    [GeneratedRegex(@"TS val \d+ ecr \d+")]
    private static partial Regex Stamps();

    [GeneratedRegex(@" win [1-9]\d*")]
    private static partial Regex Windows();

    [GeneratedRegex(@"^> (\S*)P(\S*)")]
    private static partial Regex Pushes();

    /// <summary>Whether receive windows are compared: Linux 6.18 offers more from the beginning than the systems of the public scripts.</summary>
    internal static bool ComparesWindows { get; set; }

    /// <summary>A line of a trace.</summary>
    internal readonly record struct Line(double At, char Kind, string Text, double Since = 0);

    /// <summary>The trace of a script against our stack.</summary>
    internal static (List<Line> Trace, string Detail) Ours(string text)
    {
        var lines = new List<Line>();
        var result = ScriptSuite.Run("explored.pkt", text, "linux", line => lines.Add(Parse(line)));
        return (lines, $"{result.Outcome} {result.Detail}");
    }

    private static (List<Line> Trace, string Detail) Kernel(string text)
    {
        var path = Path.GetTempFileName();
        File.WriteAllText(path, text);
        var lines = new List<Line>();
        var result = ScriptSuite.RunFileOnKernel(path, 1, line => lines.Add(Parse(line)));
        File.Delete(path);
        return (lines, $"{result.Outcome} {result.Detail}");
    }

    private static Line Parse(string line)
    {
        var trimmed = line.TrimStart();
        var space = trimmed.IndexOf(' ', StringComparison.Ordinal);
        var text = Stamps().Replace(trimmed[(space + 1)..], "TS");
        // Where a device that cuts transmissions leaves the PSH is no part of the comparison.
        if (text[0] == '>') text = Pushes().Replace(text, "> $1$2");
        if (text[0] == '>' && !ComparesWindows) text = Windows().Replace(text, "");
        return new Line(double.Parse(trimmed[..space], CultureInfo.InvariantCulture), text[0] is '<' or '>' or '%' ? text[0] : 'c', text);
    }

    /// <summary>The first difference that each of several runs shows; null when one of them agrees.</summary>
    internal static Difference? Of(string text)
    {
        var (ours, oursDetail) = Ours(text);
        Difference? found = null;
        var wasLate = true;
        for (var i = 0; i < Tries; i++)
        {
            var (theirs, theirsDetail) = Kernel(text);
            if (Lateness(ours, theirs, "<%") > LatenessSecondsMax) continue;
            // A call is late with the machine, or because it blocks for longer: that is so each time, and a difference.
            if (i < Tries - 1 && Lateness(ours, theirs, "c") > LatenessSecondsMax) continue;
            wasLate = false;
            var what = First(ours, theirs) ?? (oursDetail.Split(' ')[0] == theirsDetail.Split(' ')[0] ? null : $"ours {oursDetail}; kernel {theirsDetail}");
            if (what is null) return null;
            found = new Difference(what, [.. Beside(ours, theirs)]);
        }
        if (wasLate) Interlocked.Increment(ref s_uncompared);
        return found;
    }

    /// <summary>Both traces side by side, whether they differ or not.</summary>
    internal static IEnumerable<string> Both(string text) => Beside(Ours(text).Trace, Kernel(text).Trace);

    private static int s_uncompared;

    /// <summary>Scripts that the machine was too busy to run in time.</summary>
    internal static int Uncompared => s_uncompared;

    // Whatever the script itself does, packets, calls and looks at tcp_info: where one was late, what the kernel did with the others is another story.
    private static double Lateness(List<Line> ours, List<Line> theirs, string kinds) =>
        kinds.Max(kind => ours.Where(l => l.Kind == kind).Zip(theirs.Where(l => l.Kind == kind), static (a, b) => Math.Abs(a.At - b.At)).DefaultIfEmpty(0).Max());

    private static string? First(List<Line> ours, List<Line> theirs) =>
        First(ours, theirs, static kind => kind is '<' or '>') ?? First(ours, theirs, static kind => kind == 'c') ?? First(ours, theirs, static kind => kind == '%');

    // Times of what is sent count from the stimulus before: a machine's own delays are none of the stack's.
    private static IEnumerable<Line> Wanted(List<Line> trace, Func<char, bool> isWanted)
    {
        var stimulus = 0.0;
        foreach (var line in trace)
        {
            if (line.Kind is '<' or '%') stimulus = line.At;
            if (isWanted(line.Kind)) yield return line with { Since = Math.Max(0, line.At - stimulus) };
        }
    }

    private static string? First(List<Line> ours, List<Line> theirs, Func<char, bool> isWanted)
    {
        List<Line> a = [.. Wanted(ours, isWanted)], b = [.. Wanted(theirs, isWanted)];
        for (var i = 0; i < Math.Max(a.Count, b.Count); i++)
        {
            if (i >= a.Count) return $"missing: {b[i].At:f3} {b[i].Text}";
            if (i >= b.Count) return $"too much: {a[i].At:f3} {a[i].Text}";
            if (a[i].Text != b[i].Text) return a[i].Kind == '%' ? $"{a[i].At:f3} {Words(a[i].Text, b[i].Text)}" : $"{a[i].At:f3} {a[i].Text}   |   {b[i].At:f3} {b[i].Text}";
            // When the first segment is answered is the device's start, too.
            if (a[i].Kind == '>' && !a[i].Text.StartsWith("> S", StringComparison.Ordinal) && Math.Abs(a[i].Since - b[i].Since) > ToleranceSeconds + ToleranceShare * a[i].Since) return $"time: {a[i].At:f3} and {b[i].At:f3} {a[i].Text}";
        }
        return null;
    }

    private static string Words(string ours, string theirs) =>
        string.Join(", ", ours.Split(", ").Zip(theirs.Split(", ")).Where(static p => p.First != p.Second).Select(static p => $"{p.First} | {p.Second}"));

    private static IEnumerable<string> Beside(List<Line> ours, List<Line> theirs)
    {
        int i = 0, j = 0;
        while (i < ours.Count || j < theirs.Count)
        {
            if (i < ours.Count && j < theirs.Count && ours[i].Text == theirs[j].Text)
            {
                yield return $"  {ours[i].At:f4} {theirs[j].At:f4} {ours[i].Text}";
                (i, j) = (i + 1, j + 1);
                continue;
            }
            // The shortest way back to a common line.
            var (di, dj) = Resume(ours, i, theirs, j);
            for (; di > 0; di--, i++) yield return $"O {ours[i].At:f4}        {ours[i].Text}";
            for (; dj > 0; dj--, j++) yield return $"K        {theirs[j].At:f4} {theirs[j].Text}";
        }
    }

    private static (int, int) Resume(List<Line> ours, int i, List<Line> theirs, int j)
    {
        for (var sum = 1; sum < ours.Count - i + theirs.Count - j; sum++)
        {
            for (var di = Math.Max(0, sum - (theirs.Count - j)); di <= Math.Min(sum, ours.Count - i); di++)
            {
                if (i + di < ours.Count && j + sum - di < theirs.Count && ours[i + di].Text == theirs[j + sum - di].Text) return (di, sum - di);
            }
        }
        return (ours.Count - i, theirs.Count - j);
    }
}
