// A program that helps a measurement and speaks lines: a server or a client. Its errors are kept for the message when it ends early.
using System.Diagnostics;
using System.Reflection;
using System.Text;

namespace Peregrine.Bench.Lab;

internal sealed class Helper : IAsyncDisposable
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    private readonly Process _process;
    private readonly string _name;
    private readonly StringBuilder _errors = new();

    private Helper(string name, Process process)
    {
        (_name, _process) = (name, process);
        process.ErrorDataReceived += (_, line) =>
        {
            lock (_errors) _errors.AppendLine(line.Data);
        };
        process.BeginErrorReadLine();
    }

    internal int ProcessId => _process.Id;

    /// <summary>This tool's own command, to start it again as a helper.</summary>
    internal static IEnumerable<string> Tool
    {
        get
        {
            var program = Environment.ProcessPath ?? "dotnet";
            return Path.GetFileNameWithoutExtension(program) == "dotnet" ? [program, Assembly.GetEntryAssembly()!.Location] : [program];
        }
    }

    /// <summary>Starts a helper, perhaps in a namespace and on one processor.</summary>
    internal static Helper Start(string name, string? space, int cpu, IEnumerable<string> command)
    {
        List<string> all = [];
        if (space != null) all.AddRange(["ip", "netns", "exec", space]);
        if (cpu >= 0) all.AddRange(["taskset", "-c", $"{cpu}"]);
        all.AddRange(command);
        var start = new ProcessStartInfo(all[0], all[1..]) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        return new Helper(name, Process.Start(start)!);
    }

    /// <summary>Runs a program to its end.</summary>
    /// <exception cref="IOException">It failed; the message has what it said.</exception>
    internal static string Run(params string[] command)
    {
        using var process = Process.Start(new ProcessStartInfo(command[0], command[1..]) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        return process.ExitCode == 0 ? output : throw new IOException($"'{string.Join(' ', command)}' failed: {errors.Result.Trim()}");
    }

    internal async Task<string> ReadLineAsync(CancellationToken cancel)
    {
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(cancel);
        limit.CancelAfter(s_patience);
        string? line;
        try
        {
            line = await _process.StandardOutput.ReadLineAsync(limit.Token).ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (!cancel.IsCancellationRequested)
        {
            throw new IOException($"{_name} said nothing for {s_patience.TotalSeconds:0} s");
        }
        if (line == null)
        {
            await _process.WaitForExitAsync(cancel).ConfigureAwait(false);
            string errors;
            lock (_errors) errors = _errors.ToString().Trim();
            throw new IOException($"{_name} ended: {(errors.Length > 0 ? errors : $"status {_process.ExitCode}")}");
        }
        return line.StartsWith("error ", StringComparison.Ordinal) ? throw new IOException($"{_name}: {line[6..]}") : line;
    }

    /// <summary>Waits for the end of a program that is asked nothing.</summary>
    /// <exception cref="IOException">It failed; the message has what it said.</exception>
    internal async Task FinishAsync(CancellationToken cancel)
    {
        var output = await _process.StandardOutput.ReadToEndAsync(cancel).ConfigureAwait(false);
        await _process.WaitForExitAsync(cancel).ConfigureAwait(false);
        string errors;
        lock (_errors) errors = _errors.ToString().Trim();
        if (_process.ExitCode != 0) throw new IOException($"{_name} failed: {(errors.Length > 0 ? errors : output.Trim())}");
    }

    /// <summary>Tells it to end by the end of its input.</summary>
    internal void EndInput() => _process.StandardInput.Close();

    internal async Task WriteLineAsync(string line)
    {
        await _process.StandardInput.WriteLineAsync(line).ConfigureAwait(false);
        await _process.StandardInput.FlushAsync().ConfigureAwait(false);
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited)
        {
            _process.StandardInput.Close();
            using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(2));
            try
            {
                await _process.WaitForExitAsync(limit.Token).ConfigureAwait(false);
            }
            catch (OperationCanceledException)
            {
                _process.Kill(entireProcessTree: true);
            }
        }
        _process.Dispose();
    }
}
