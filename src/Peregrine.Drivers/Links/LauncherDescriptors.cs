// Descriptors that whoever started the process has opened for it: by number, or by name after the convention of sd_listen_fds(3), which
// systemd and other launchers follow. Only the lookup; what a descriptor is, the driver finds out.
using System.Globalization;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers;

internal static class LauncherDescriptors
{
    private const int First = 3;
    private const int CountMax = 1024;

    /// <summary>A descriptor by its number, or by a launcher's name for it. It is not passed on to programs that this one starts.</summary>
    /// <exception cref="ArgumentException">There is no such descriptor; the message says which there are.</exception>
    public static int Take(string text)
    {
        var descriptor = Find(text, Environment.GetEnvironmentVariable, Environment.ProcessId);
        return Posix.SetCloseOnExec(descriptor, true).IsError ? throw new ArgumentException($"Descriptor {descriptor} is not open.", nameof(text)) : descriptor;
    }

    internal static int Find(string text, Func<string, string?> environment, int processId)
    {
        if (int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out var descriptor)) return descriptor;
        var names = Names(environment, processId);
        var index = Array.IndexOf(names, text);
        if (index >= 0) return First + index;
        throw new ArgumentException(names.Length == 0
            ? $"There is no descriptor '{text}': give its number, or start from a launcher that sets LISTEN_FDS, LISTEN_PID and LISTEN_FDNAMES."
            : $"There is no descriptor '{text}'; the launcher passed {string.Join(", ", names)}.", nameof(text));
    }

    /// <summary>What the launcher calls its descriptors, from the first on; none where they are meant for another process.</summary>
    private static string[] Names(Func<string, string?> environment, int processId)
    {
        if (!int.TryParse(environment("LISTEN_PID"), NumberStyles.None, CultureInfo.InvariantCulture, out var meant) || meant != processId) return [];
        if (!int.TryParse(environment("LISTEN_FDS"), NumberStyles.None, CultureInfo.InvariantCulture, out var count) || count is < 1 or > CountMax) return [];
        var given = environment("LISTEN_FDNAMES") is { Length: > 0 } text ? text.Split(':') : [];
        // "unknown" is what the convention calls those without a name.
        return [.. Enumerable.Range(0, count).Select(i => i < given.Length ? given[i] : "unknown")];
    }
}
