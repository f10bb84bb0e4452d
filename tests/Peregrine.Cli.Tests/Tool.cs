// The peregrine tool as a user has it: a process with arguments, output, errors and a status. Each run has a folder of its own for control
// sockets and files, and a limit in time.
using System.Diagnostics;
using System.Text;

namespace Peregrine.Cli.Tests;

internal sealed record ToolResult(int Status, string Output, string Errors)
{
    public override string ToString() => $"status {Status}\n{Output}\n{Errors}";
}

internal sealed class Tool : IDisposable
{
    private const int TimeoutSeconds = 600;

    private readonly Process _process;
    private readonly StringBuilder _output = new();
    private readonly Task<string> _errors;

    private Tool(ProcessStartInfo start)
    {
        _process = Process.Start(start)!;
        _errors = _process.StandardError.ReadToEndAsync();
    }

    /// <summary>The repository's folder: artifacts/bin/PROJECT/release is where this program lies.</summary>
    internal static string Root { get; } = Path.GetFullPath(Path.Combine(AppContext.BaseDirectory, "../../../.."));

    internal static string Assembly { get; } = Path.Combine(Root, "artifacts/bin/Peregrine.Cli/release/Peregrine.Cli.dll");

    internal static string Dotnet { get; } = Environment.ProcessPath is { } path && Path.GetFileName(path) == "dotnet" ? path : "dotnet";

    internal int ProcessId => _process.Id;

    /// <summary>Skips the test where a program that it calls is missing, or root's rights.</summary>
    internal static void Need(bool root, params ReadOnlySpan<string> programs)
    {
        Assert.SkipUnless(!root || Environment.IsPrivilegedProcess, "not run: needs root");
        foreach (var program in programs) Assert.SkipUnless(Find(program) is not null, $"not run: {program} is not installed");
    }

    /// <summary>Starts the tool.</summary>
    /// <param name="folder">For control sockets, captures and the like.</param>
    /// <param name="prefix">A program and arguments that start it, such as unshare.</param>
    /// <param name="arguments">The tool's.</param>
    internal static Tool Start(string folder, string[] prefix, params string[] arguments)
    {
        // Shells start what runs in the background with Ctrl-C ignored, and that is inherited.
        string[] all = ["env", "--default-signal=INT", .. prefix, Dotnet, Assembly, .. arguments];
        var start = new ProcessStartInfo(all[0], all[1..])
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = folder,
        };
        start.Environment["XDG_RUNTIME_DIR"] = folder;
        start.Environment["HOME"] = folder;
        return new Tool(start);
    }

    internal static async Task<ToolResult> RunAsync(string folder, string[] prefix, params string[] arguments)
    {
        using var tool = Start(folder, prefix, arguments);
        return await tool.FinishAsync();
    }

    /// <summary>Reads output until a line has a text, and gives that line.</summary>
    internal async Task<string> ReadUntilAsync(string text)
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(TimeoutSeconds));
        while (await _process.StandardOutput.ReadLineAsync(limit.Token) is { } line)
        {
            _output.AppendLine(line);
            if (line.Contains(text, StringComparison.Ordinal)) return line;
        }
        Assert.Fail($"\"{text}\" did not come: {_output}{await _errors}");
        return "";
    }

    /// <summary>Presses Ctrl-C.</summary>
    internal void Interrupt()
    {
        using var kill = Process.Start("kill", ["-INT", $"{_process.Id}"]);
        kill.WaitForExit();
    }

    internal async Task<ToolResult> FinishAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(TimeoutSeconds));
        _process.StandardInput.Close();
        _output.Append(await _process.StandardOutput.ReadToEndAsync(limit.Token));
        await _process.WaitForExitAsync(limit.Token);
        return new ToolResult(_process.ExitCode, _output.ToString(), await _errors);
    }

    public void Dispose()
    {
        if (!_process.HasExited) _process.Kill(entireProcessTree: true);
        _process.Dispose();
    }

    private static string? Find(string program) =>
        ((string[])["/usr/bin", "/usr/sbin", "/bin", "/sbin"]).Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);
}

/// <summary>A folder that anybody may use, for as long as a test runs.</summary>
internal sealed class Scratch : IDisposable
{
    internal Scratch()
    {
        Path = Directory.CreateTempSubdirectory("peregrine-cli-").FullName;
        if (OperatingSystem.IsLinux()) File.SetUnixFileMode(Path, (UnixFileMode)0b111_111_111);
    }

    internal string Path { get; }

    internal string At(string name) => System.IO.Path.Combine(Path, name);

    public void Dispose() => Directory.Delete(Path, recursive: true);
}
