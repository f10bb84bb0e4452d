// What huge pages this machine has, in a sentence. Taking them is RegionMapping's.
using System.Globalization;

namespace Peregrine.Drivers;

/// <summary>Says which huge pages there are.</summary>
public static class HugePages
{
    private const string Reserved = "/sys/kernel/mm/hugepages/hugepages-2048kB/", Transparent = "/sys/kernel/mm/transparent_hugepage/enabled";

    /// <summary>One line for people, with what to do where there are none.</summary>
    public static string Describe()
    {
        int total = Number(Reserved + "nr_hugepages"), free = Number(Reserved + "free_hugepages");
        var transparent = Text(Transparent);
        var chosen = transparent.IndexOf('[', StringComparison.Ordinal) is var open and >= 0 && transparent.IndexOf(']', open) is var close and > 0
            ? transparent[(open + 1)..close]
            : "not known";
        return total > 0
            ? $"Huge pages: {free} of {total} reserved pages of 2 MiB are free; transparent ones: {chosen}."
            : $"Huge pages: none of 2 MiB reserved (as root: echo 512 > {Reserved}nr_hugepages); transparent ones: {chosen}.";
    }

    private static int Number(string path) => int.TryParse(Text(path), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : 0;

    private static string Text(string path)
    {
        try
        {
            return File.ReadAllText(path).Trim();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return "";
        }
    }
}
