/** RDS's rule, but for the length: names of instances are made from it. */
export const CLUSTER_NAME_RULE = '1 to 60 lower-case letters, digits and single hyphens, the first a letter'

export const isClusterName = (name: string): boolean => /^[a-z](?:-?[a-z0-9])*$/.test(name) && name.length <= 60

export const INSTANCE_NAME_RULE = '1 to 63 lower-case letters, digits and single hyphens, the first a letter'

export const isInstanceName = (name: string): boolean => /^[a-z](?:-?[a-z0-9])*$/.test(name) && name.length <= 63
