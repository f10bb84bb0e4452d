// Scripts from files and folders: what the command and the tests call.
using Peregrine.Scripting.Running;

namespace Peregrine.Scripting;

/// <summary>Runs packetdrill scripts, each against a stack of its own, in virtual time.</summary>
public static class ScriptSuite
{
    /// <summary>Names of the profiles: the systems whose settings and calls a script may expect.</summary>
    public static IReadOnlyList<string> Profiles { get; } = ["linux", "freebsd"];

    /// <summary>The script files under a path: the file itself, or all that end in .pkt in the folder and those below, in order of their names.</summary>
    /// <exception cref="FileNotFoundException">There is nothing there.</exception>
    public static IReadOnlyList<string> Find(string path)
    {
        if (File.Exists(path)) return [path];
        if (!Directory.Exists(path)) throw new FileNotFoundException($"There is no script and no folder '{path}'.");
        return [.. Directory.EnumerateFiles(path, "*.pkt", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];
    }

    /// <summary>Runs a script's text.</summary>
    /// <param name="name">What to call it.</param>
    /// <param name="text">The script.</param>
    /// <param name="profile">One of <see cref="Profiles"/>.</param>
    /// <param name="trace">Is told of every packet and of every call that ended, a line each; null for nobody.</param>
    /// <exception cref="ArgumentException">There is no such profile.</exception>
    public static ScriptResult Run(string name, string text, string profile, Action<string>? trace = null)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(text);
        ArgumentNullException.ThrowIfNull(profile);
        var known = Profile.Find(profile) ?? throw new ArgumentException($"There is no profile '{profile}': known are {string.Join(", ", Profiles)}.");
        return ScriptRunner.Run(name, text, known, trace);
    }

    /// <summary>Runs the script in a file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="profile">One of <see cref="Profiles"/>.</param>
    /// <param name="trace">Is told of every packet and of every call that ended, a line each; null for nobody.</param>
    /// <exception cref="ArgumentException">There is no such profile.</exception>
    public static ScriptResult RunFile(string path, string profile, Action<string>? trace = null) => Run(path, File.ReadAllText(path), profile, trace);

    /// <summary>
    /// Runs the script in a file against the running Linux kernel, in real time, behind a TUN device in a network namespace of its own. Needs root; where
    /// that is not had, or the machine is too busy to keep the script's time, the script is not applicable.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <param name="attempts">How often a script that fails is tried before it has failed.</param>
    /// <param name="trace">Is told of every packet and of every call that ended, a line each; null for nobody.</param>
    public static ScriptResult RunFileOnKernel(string path, int attempts = 3, Action<string>? trace = null) =>
        Kernel.KernelRun.Run(path, File.ReadAllText(path), attempts, trace: trace);
}
