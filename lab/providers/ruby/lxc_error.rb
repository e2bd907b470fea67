# vagrant-lxc 1.4.3 keeps to itself what a failed command of LXC said: its error begins with that.
TracePoint.new(:raise) do |point|
  error = point.raised_exception
  next unless error.class.name == "Vagrant::LXC::Errors::ExecuteError"
  said = error.stderr.to_s.strip
  next if said.empty? || error.message.start_with?(said) # it is raised again by whoever tries again
  whole = "#{said}\n\n#{error.message}"
  error.define_singleton_method(:message) { whole }
end.enable
