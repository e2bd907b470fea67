# Ruby 3.2 removed File.exists? and Dir.exists?, which vagrant-lxc 1.4.3 (of 2018) calls: given back where they are missing.
[File, Dir].each do |kind|
  kind.singleton_class.alias_method(:exists?, :exist?) unless kind.respond_to?(:exists?)
end
